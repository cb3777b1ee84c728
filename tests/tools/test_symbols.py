"""The exported functions: zct.h, the symbol map and the library say the same."""

import importlib.util
import os
import re
import shutil
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ZCT_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "tools"))

import symbols  # noqa: E402


def test_the_map_has_exactly_the_functions_of_the_header():
    assert symbols.differences() == []


def test_the_library_exports_exactly_the_functions_of_the_header():
    library = os.path.join(BUILD, "lib", "libzct.so")
    if not os.path.exists(library):
        pytest.skip("build/lib/libzct.so is not there: run make build")
    if not shutil.which("nm"):
        pytest.skip("nm is not installed (Debian: binutils)")
    assert symbols.differences(library) == []


def test_the_extension_exports_its_entry_alone():
    found = importlib.util.find_spec("zero_copy_tensor_ipc")
    if not found:
        pytest.skip("the package is not installed: run make build")
    extension = importlib.util.find_spec("zero_copy_tensor_ipc._core").origin
    if not shutil.which("nm"):
        pytest.skip("nm is not installed (Debian: binutils)")
    assert symbols.library_symbols(extension) == {"PyInit__core"}


def test_each_exported_name_has_the_prefix():
    assert all(name.startswith("zct_") for name in symbols.header_functions())
    assert len(symbols.header_functions()) > 40


def test_the_check_reads_functions_that_return_pointers_and_span_lines(tmp_path):
    header = tmp_path / "zct.h"
    header.write_text(
        "/* ZCT_API int zct_commented(void); */\n"
        "ZCT_API const char *zct_one(int);\n"
        "ZCT_API int zct_two(void *a,\n    int b);\n"
        "typedef int (*zct_callback)(void);\n"
    )
    assert symbols.header_functions(str(header)) == {"zct_one", "zct_two"}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def test_the_version_is_the_same_everywhere():
    header = read("include", "zct", "zct.h")
    parts = [re.search(rf"define ZCT_VERSION_{part} (\d+)", header).group(1) for part in ("MAJOR", "MINOR", "PATCH")]
    version = ".".join(parts)
    assert re.search(r'ZCT_VERSION_STRING "([^"]+)"', header).group(1) == version
    assert re.search(r"version: '([^']+)'", read("meson.build")).group(1) == version
    assert re.search(r"^## (\d\S*)", read("CHANGELOG.md"), flags=re.M).group(1) == version


def test_the_pkg_config_file_and_the_header_are_installed():
    if not os.path.exists(os.path.join(BUILD, "lib")):
        pytest.skip("the library is not built: run make build")
    assert os.path.exists(os.path.join(BUILD, "include", "zct", "zct.h"))
    text = read(os.path.join(BUILD, "lib", "pkgconfig", "zct.pc"))
    assert "-lzct" in text
    assert "Version: 0." in text
