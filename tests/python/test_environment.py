"""What is set from outside, and the log: ZCT_STORE, ZCT_DIR, ZCT_CAPACITY, ZCT_LOG."""

import os
import re
import struct
import subprocess
import sys
import textwrap

import pytest

import zero_copy_tensor_ipc as zct

AL_OWNER = 4096 + 64  # of the file: the words stand on its second page, docs/FORMAT.md


def run(directory, code, status=0, **env):
    """Run code in a fresh interpreter: what it wrote to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "ZCT_DIR": directory, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=100,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


# ---- which store, where, how large ----

WHERE = """
    import numpy as np, zero_copy_tensor_ipc as zct
    s = zct.create_shared_tensor("x", np.ones(3)).store
    print(s.name, s.capacity, s.path)
"""


@pytest.mark.parametrize("size", ["4194304", "4096K", "4M", "4MiB", "4MB", "4m"])
def test_capacity(directory, size):
    assert run(directory, WHERE, ZCT_CAPACITY=size)[0].split()[1] == str(4 << 20)


@pytest.mark.parametrize("size", ["much", "-1", "0", "4X", "4 M", "4Mx", " 4M", "+4M", ""])
def test_a_capacity_that_is_none(directory, size):
    code = "import zero_copy_tensor_ipc as zct\ntry:\n    zct.zeros(3)\nexcept ValueError as e:\n    print(e)"
    out, err = run(directory, code, ZCT_CAPACITY=size)
    assert err == ""
    if size:
        assert "ZCT_CAPACITY" in out and repr(size) in out
    else:
        assert out == ""  # as good as not set


@pytest.mark.parametrize("size", ["99999999T", "18014398509481985K", "99999999999999999999"])
def test_a_capacity_beyond_all(directory, size):
    code = "import zero_copy_tensor_ipc as zct\ntry:\n    zct.zeros(3)\nexcept ValueError as e:\n    print(e)"
    assert "more than the format's 4 TiB" in run(directory, code, ZCT_CAPACITY=size)[0]


def test_store_by_name_and_by_path(directory):
    out = run(directory, WHERE, ZCT_STORE="mine")[0].split()
    assert out[0] == "mine" and os.path.dirname(out[2]) == directory
    path = os.path.join(directory, "elsewhere")
    out = run(directory, WHERE, ZCT_STORE=path)[0].split()
    assert out[0] == "elsewhere" and out[2] == path
    code = "import zero_copy_tensor_ipc as zct\ntry: zct.zeros(3)\nexcept ValueError as e: print(e)"
    assert "'.'" in run(directory, code, ZCT_STORE=".")[0]


def test_a_directory_that_is_not_there(directory):
    code = "import zero_copy_tensor_ipc as zct\ntry: zct.zeros(3)\nexcept FileNotFoundError as e: print(e)"
    assert "/nonexistent" in run(directory, code, ZCT_DIR="/nonexistent")[0]


def test_it_is_read_at_first_use(directory):
    """Not at import; and once."""
    code = """
        import os
        import zero_copy_tensor_ipc as zct
        os.environ["ZCT_STORE"] = "first"
        t = zct.zeros(3, name="x")
        os.environ["ZCT_STORE"] = "second"
        print(t.store.name, zct.attach_shared_tensor("x").store.name)
    """
    assert run(directory, code)[0] == "first first\n"


def test_arguments_go_before_the_environment(directory):
    code = """
        import os, sys
        import zero_copy_tensor_ipc as zct
        os.mkdir(os.environ["ZCT_DIR"] + "/d")
        with zct.Store("b", directory=os.environ["ZCT_DIR"] + "/d", capacity=8 << 20) as s:
            print(s.name, s.capacity, os.path.basename(os.path.dirname(s.path)))
    """
    assert run(directory, code, ZCT_STORE="a", ZCT_CAPACITY="4M")[0] == "b %d d\n" % (8 << 20)


# ---- the log ----

# A process that is killed while it holds 'x'; then one that notices, and takes the name.
KILLED = """
    import os, numpy as np, zero_copy_tensor_ipc as zct
    t = zct.create_shared_tensor("x", np.ones(3))
    os.kill(os.getpid(), 9)
"""
NOTICES = "import numpy as np, zero_copy_tensor_ipc as zct\nt = zct.create_shared_tensor('x', np.ones(3))\nzct.Store().gc()"


def lines(text):
    """(level, message) of each line, which is as _log.py formats it."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} zero_copy_tensor_ipc (\w+) pid \d+: (.*)$", line)
        assert match, line
        found.append(match.groups())
    return found


def test_silent_by_default(directory):
    run(directory, KILLED, status=-9)
    assert run(directory, NOTICES) == ("", "")


@pytest.mark.parametrize("level", ["debug", "info", "INFO", "1"])
def test_what_was_reaped_and_replaced(directory, level):
    run(directory, KILLED, status=-9)
    out, err = run(directory, NOTICES, ZCT_LOG=level)
    said = lines(err)
    assert out == "" and {word for word, _ in said} == {"INFO"}
    assert any(re.search(r"store 'default': member \d+ \(pid \d+\) died", text) for _, text in said)
    assert any("tensor 'x' was a leftover" in text for _, text in said)


@pytest.mark.parametrize("level", ["warning", "error", ""])
def test_levels(directory, level):
    run(directory, KILLED, status=-9)
    assert run(directory, NOTICES, ZCT_LOG=level) == ("", "")


def test_warnings(directory):
    code = """
        import numpy as np, zero_copy_tensor_ipc as zct
        with zct.numpy_allocator():
            a = np.zeros(8 << 20, np.uint8)
    """
    said = lines(run(directory, code, ZCT_LOG="warning", ZCT_CAPACITY="1M")[1])
    assert [word for word, _ in said] == ["WARNING"] and "8388608 bytes" in said[0][1]


def dirty(path):
    """The allocator's lock as a process leaves it that died inside (docs/FORMAT.md)."""
    with open(path, "r+b") as f:
        f.seek(AL_OWNER)
        word = struct.unpack("<Q", f.read(8))[0]
        assert word & 0x1FFFF == 0  # nobody has it
        f.seek(AL_OWNER)
        f.write(struct.pack("<Q", word | 1 << 16))


def test_what_was_rebuilt(directory):
    out, _ = run(directory, WHERE)
    dirty(out.split()[2])
    out, err = run(directory, "import numpy as np, zero_copy_tensor_ipc as zct\nzct.create_shared_tensor('y', np.ones(3))\n"
                   "print(zct.Store().stats().rebuilds, zct.Store().check())", ZCT_LOG="info")
    assert out == "1 []\n"
    assert any("died inside the allocator; rebuilding" in text for _, text in lines(err))


def test_the_logger_is_python_s(directory):
    """A program's own handlers and levels do as with any logger; ZCT_LOG is not needed."""
    run(directory, KILLED, status=-9)
    layout = "%(name)s|%(levelname)s|%(message)s"
    code = "import logging, sys\nlogging.basicConfig(level='INFO', stream=sys.stdout, format='%s')\n" % layout
    out, err = run(directory, code + NOTICES)
    assert err == "" and out.count("zero_copy_tensor_ipc|INFO|") >= 2 and "leftover" in out
    assert zct.__name__ == "zero_copy_tensor_ipc"
