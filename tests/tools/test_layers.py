"""The house: who may include whom, and that the check would notice."""

import os
import sys
import warnings

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

import layers  # noqa: E402


def test_no_file_includes_what_it_may_not():
    assert list(layers.violations(ROOT)) == []


@pytest.mark.parametrize(
    ("path", "code", "complaint"),
    [
        ("src/sync/a.c", '#include "tensor/tensor.h"\n', "may not include"),
        ("src/sync/a.c", '#include "api/x.h"\n', "may not include"),
        ("src/base/a.c", '#include "platform/file.h"\n', "may not include"),
        ("src/pool/a.c", "#include <unistd.h>\n", "system header"),
        ("src/base/a.c", "#include <pthread.h>\n", "system header"),
        ("src/pool/a.c", '#include "pool.h"\n', "with its folder"),
        ("src/pool/a.c", '#include "elsewhere/pool.h"\n', "in no layer"),
        ("src/pool/a.c", "int f(int *p) { return __atomic_load_n(p, 0); }\n", "src/base alone"),
        ("src/pool/a.c", "int f(void) { return atomic_load(&x); }\n", "src/base alone"),
        ("src/pool/a.c", "int order = memory_order_relaxed;\n", "src/base alone"),
        ("src/misc/a.c", "", "not a layer"),
        ("cli/a.c", '#include "base/util.h"\n', "is internal"),
        ("cli/a.c", '#include "../src/base/util.h"\n', "is internal"),
        ("python/src/a.c", "#include <tensor/tensor.h>\n", "is internal"),
        ("bench/a.c", '#include "zct.h"\n', "written <zct/zct.h>"),
    ],
)
def test_a_violation_is_found(tmp_path, path, code, complaint):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(code)
    found = list(layers.violations(str(tmp_path)))
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("src/tensor/a.c", '#include "tensor/a.h"\n#include "base/x.h"\n#include "pool/y.h"\n#include <string.h>\n'),
        ("src/platform/a.c", "#include <sys/mman.h>\n"),
        ("src/base/a.h", "#define get(p) atomic_load_explicit(p, memory_order_acquire)\n"),
        ("src/pool/a.c", "/* atomic_load(x), #include <unistd.h> */ // memory_order_relaxed\n"),
        ("src/api/a.c", "#include <zct/zct.h>\n"),
        ("cli/a.c", '#include "out.h"\n#include <unistd.h>\n#include <zct/zct.h>\n'),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path, path, code):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(code)
    assert list(layers.violations(str(tmp_path))) == []


def test_no_file_is_too_long():
    """200 to 300 lines are a pleasure to read; from 500 on this warns, at 1000 it fails."""
    for folder in ("src", "cli", "python", "bench", "tests", "tools", "examples"):
        for path, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            for name in names:
                if not name.endswith((".c", ".h", ".py")):
                    continue
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    lines = sum(1 for _ in file)
                shown = os.path.relpath(os.path.join(path, name), ROOT)
                if lines > 500:
                    warnings.warn(f"{shown} has {lines} lines; consider one noun, one file", stacklevel=1)
                assert lines <= 1000, f"{shown} has {lines} lines; split it"
