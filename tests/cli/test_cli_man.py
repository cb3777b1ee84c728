"""The manual page says what the commands' help says: the same commands, the same options, the same exit codes."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "cli/zct.1"


def commands_of(zct):
    return [line.split()[0] for line in zct("--help").stdout.splitlines() if re.match("  [a-z]", line)]


def options_of_help(text):
    return set(re.findall(r"^ +(?:-[a-z], )?(--[a-z-]+)", text, re.MULTILINE))


def sections():
    """The page's text of each command, from its first line to the next command's."""
    text = PAGE.read_text()
    text = text[text.index("The commands are:") : text.index(".Sh ENVIRONMENT")]
    found = {}
    for part in re.split(r"^\.It (?=Cm |Xo\n)", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"(?:Xo\n\.)?Cm ([a-z]+)", part).group(1)
        found[name] = found.get(name, "") + part
    return found


def options_of_page(text):
    marked = "\n".join(line for line in text.splitlines() if line.startswith(".") and not line.startswith(".Bl"))
    return {"-" + option for option in re.findall(r"(?<=[ ,])(-[a-z][a-z-]+)", marked)}


def test_the_commands(zct):
    assert sorted(sections()) == sorted(commands_of(zct))


def test_the_options_of_each_command(zct):
    page = sections()
    common = options_of_help(zct("--help").stdout)
    for command in commands_of(zct):
        own = options_of_help(zct(command, "--help").stdout) - common
        assert options_of_page(page[command]) == own, command


def test_the_common_options(zct):
    text = PAGE.read_text()
    head = text[: text.index("The commands are:")]
    assert options_of_page(head) == options_of_help(zct("--help").stdout)


@pytest.mark.parametrize("program", [["mandoc", "-T", "lint", "-W", "warning"], ["man", "--warnings", "-l"]])
def test_the_page_is_well_formed(program):
    if not shutil.which(program[0]):
        pytest.skip(f"{program[0]} is not installed")
    done = subprocess.run([*program, PAGE], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    complaints = [
        line for line in (done.stderr + (done.stdout if "lint" in program else "")).splitlines() if "mandoc.db" not in line
    ]
    assert done.returncode == 0 and complaints == []


def test_what_is_installed():
    prefix = pathlib.Path(os.environ.get("ZCT_BUILD", ROOT / "build"))
    if not (prefix / "bin/zct").exists():
        pytest.skip("nothing is installed in the build folder: make build")
    for path in ("share/man/man1/zct.1", "share/bash-completion/completions/zct", "share/zsh/site-functions/_zct"):
        assert (prefix / path).exists(), path
