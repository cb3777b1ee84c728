"""README.md and the pages for users tell the truth: every block of code in them runs, in order,
as its reader would run it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ZCT_BUILD", os.path.join(ROOT, "build"))
# What would start the whole project over, or change the machine: that it exists is all that is looked at.
ONLY_LOOKED_AT = {"make", "pip"}


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def blocks(name):
    """(language, line, code) of each fenced block."""
    text = text_of(name)
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S):
        yield match.group(1), text.count("\n", 0, match.start()) + 2, match.group(2)


PAGES = ["README.md", "docs/COMING_FROM.md", "docs/SENDING.md", "docs/CHOOSING.md"]
BLOCKS = [(page, *block) for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One directory of stores for all blocks: what one makes, the next one finds."""
    stores = tmp_path_factory.mktemp("stores")
    values = {key: value for key, value in os.environ.items() if not key.startswith("ZCT_")}
    values["ZCT_DIR"] = str(stores)
    path = [os.path.dirname(sys.executable), os.path.join(BUILD, "bin"), values.get("PATH", "/usr/bin:/bin")]
    values["PATH"] = os.pathsep.join(path)
    return values


def run(command, environment, **more):
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, cwd=ROOT, **more
    )
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def run_c(code, environment, tmp_path):
    if not os.path.exists(os.path.join(BUILD, "lib", "libzct.so")):
        pytest.skip("build/lib/libzct.so is not there: run make build")
    source = tmp_path / "tour.c"
    source.write_text(code)
    program = str(tmp_path / "tour")
    if shutil.which("pkg-config"):
        values = {**environment, "PKG_CONFIG_PATH": os.path.join(BUILD, "lib", "pkgconfig")}
        flags = run(["pkg-config", "--cflags", "--libs", "zct"], values).split()
    else:
        flags = ["-I", os.path.join(BUILD, "include"), "-L", os.path.join(BUILD, "lib"), "-lzct"]
    run(["cc", "-Wall", "-Wextra", "-Wno-missing-field-initializers", str(source), *flags, "-o", program], environment)
    run([program], {**environment, "LD_LIBRARY_PATH": os.path.join(BUILD, "lib")})


def run_sh(code, environment):
    for line in code.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "make":
            run(["make", "-n", *words[1:]], environment)
        elif words[0] in ONLY_LOOKED_AT:
            assert shutil.which(words[0], path=environment["PATH"]), f"{words[0]} is not there"
        else:
            run(["sh", "-ec", line], environment)


@pytest.mark.parametrize(
    ("page", "language", "line", "code"), BLOCKS, ids=[f"{page}-line{line}-{lang}" for page, lang, line, _ in BLOCKS]
)
def test_the_block_runs(page, language, line, code, environment, tmp_path):
    if language == "python":
        program = tmp_path / "block.py"
        program.write_text(code)
        run([sys.executable, str(program)], environment)
    elif language == "c":
        run_c(code, environment, tmp_path)
    elif language == "sh":
        run_sh(code, environment)
    else:
        pytest.fail(f"{page}:{line}: a block of language {language!r} cannot be checked")


def test_nothing_is_left_behind(environment):
    """Runs last: the tours clean up after themselves."""
    assert os.listdir(environment["ZCT_DIR"]) == []


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_what_it_refers_to_is_there(name):
    for target in re.findall(r"\]\(([^)#:]+)\)", text_of(name)):
        there = os.path.join(ROOT, os.path.dirname(name), target)
        assert os.path.exists(there), f"{name} refers to {target}, which is not there"
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.M))
    for target in re.findall(r"(?:`|^)make ([a-z]+)", text_of(name), flags=re.M):
        assert target in targets, f"{name} says `make {target}`, which the Makefile does not have"
