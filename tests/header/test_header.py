"""zct.h alone compiles as C99 and as C++11 with every warning an error, by gcc and by clang."""

import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ZCT_BUILD", os.path.join(ROOT, "build"))
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-pedantic-errors", "-Werror", "-Wshadow", "-Wundef", "-Wconversion"]

LANGUAGES = [
    ("gcc", "c", "c99", ["-Wstrict-prototypes", "-Wc++-compat"]),
    ("gcc", "c", "c11", ["-Wstrict-prototypes"]),
    ("gcc", "c", "c17", ["-Wstrict-prototypes"]),
    ("g++", "c++", "c++11", ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"]),
    ("g++", "c++", "c++20", ["-Wold-style-cast"]),
    ("clang", "c", "c99", ["-Wstrict-prototypes", "-Wdocumentation"]),
    ("clang", "c++", "c++11", ["-Wold-style-cast"]),
    ("clang", "c++", "c++20", ["-Wold-style-cast"]),
]

# Included twice, used a little: what a program that has nothing else would do.
SOURCE = """
#include <zct/zct.h>
#include <zct/zct.h>
int use(zct_store **ret_store);
int use(zct_store **ret_store)
{
    struct zct_store_options options;
    options.size = sizeof options;
    options.directory = 0;
    (void)options;
    return ZCT_VERSION_MAJOR < 0 ? 1 : zct_store_open("name", 0, ret_store);
}
"""


def compile_source(compiler, language, standard, more, source, output, include):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    if language == "c++" and not has_cxx_library(compiler):
        pytest.skip(f"{compiler} finds no C++ library (Debian: g++)")
    command = [compiler, "-x", language, f"-std={standard}", *WARNINGS, *more, "-I", include, "-c", "-o", output, "-"]
    done = subprocess.run(command, input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, " ".join(command) + "\n" + done.stdout.decode()


def has_cxx_library(compiler):
    command = [compiler, "-x", "c++", "-fsyntax-only", "-"]
    return subprocess.run(command, input=b"#include <cstddef>\n", stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(("compiler", "language", "standard", "more"), LANGUAGES)
def test_the_header_compiles_without_a_warning(compiler, language, standard, more, tmp_path):
    # As strict as can be, but a null pointer is 0 in C++ too, in the test's own lines.
    more = [flag for flag in more if flag != "-Wzero-as-null-pointer-constant"]
    include = os.path.join(ROOT, "include")
    compile_source(compiler, language, standard, more, SOURCE, str(tmp_path / "out.o"), include)


@pytest.mark.parametrize("first", ["stdio.h", "sys/types.h", "errno.h", "math.h"])
def test_the_header_stands_beside_others(first, tmp_path):
    source = f"#include <{first}>\n{SOURCE}"
    compile_source("gcc", "c", "c99", [], source, str(tmp_path / "out.o"), os.path.join(ROOT, "include"))


@pytest.mark.parametrize("language", ["c", "c++"])
def test_a_program_links_with_the_shared_library(language, tmp_path):
    """What is installed in build/ works from outside: header, library, and C++ linkage."""
    library = os.path.join(BUILD, "lib")
    if not os.path.exists(os.path.join(library, "libzct.so")):
        pytest.skip("build/lib/libzct.so is not there: run make build")
    compiler = {"c": "gcc", "c++": "g++"}[language]
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    source = tmp_path / "main"
    source.write_text(
        "#include <stdio.h>\n#include <zct/zct.h>\n"
        'int main(void) { printf("%s %s", zct_version(), zct_error_name(-ZCT_EFULL)); return 0; }\n'
    )
    program = str(tmp_path / "program")
    command = [compiler, "-x", language, str(source), "-x", "none", "-I", os.path.join(BUILD, "include")]
    command += ["-L", library, "-lzct", f"-Wl,-rpath,{library}", "-o", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout.decode()
    out = subprocess.run([program], stdout=subprocess.PIPE, timeout=300)
    assert out.returncode == 0
    assert out.stdout.decode() == "0.1.0 ZCT_EFULL"
