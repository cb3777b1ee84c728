"""Completion in bash, by sourcing it and asking as the shell asks, and in zsh, on a terminal, where there is one."""

import os
import pathlib
import select
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASH = ROOT / "cli/completion/zct.bash"

# What readline does: cut the line into words at COMP_WORDBREAKS and call the function.
ASK = r"""
compopt() { printf 'compopt %s\n' "$*"; }
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_zct "$3"
printf 'reply %s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(zct):
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")

    def ask(line, prefix=""):
        line = "zct " + line
        done = subprocess.run(
            ["bash", "-c", prefix + ASK, "bash", BASH, line, zct.path],
            env=zct.env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0 and done.stderr == "", done.stderr
        replies = [text[6:] for text in done.stdout.splitlines() if text.startswith("reply ")]
        options = [text[8:] for text in done.stdout.splitlines() if text.startswith("compopt ")]
        return [reply for reply in replies if reply], options

    return ask


def commands_of(zct):
    listed = [line.split()[0] for line in zct("--help").stdout.splitlines() if line[:2] == "  " and line[2:3].isalpha()]
    assert "ls" in listed and "doctor" in listed
    return listed


def test_commands(zct, complete):
    assert complete("")[0] == [*commands_of(zct), "help"]
    assert complete("wa")[0] == ["watch"]
    assert complete("--json chec")[0] == ["check"]
    assert complete("--store x chec")[0] == ["check"]
    assert complete("help st")[0] == ["stat"]


def test_options_of_each_command(zct, complete):
    for command in commands_of(zct):
        shown = zct(command, "--help").stdout
        offered = complete(f"{command} --")[0]
        assert {"--store", "--dir", "--json", "--help"} <= set(offered)
        assert all(option in shown for option in offered)
    assert "--repair" in complete("check --r")[0]
    assert complete("gc --older")[0] == ["--older-than"]
    assert complete("--vers")[0] == ["--version"]


def test_names(zct, complete):
    actor = zct.actor()
    for name in ("model/a", "model/b", "other", "with blank", "a:b", "a:c", "star*1", "star2", "ctrl\x01"):
        actor.create(name)
    assert complete("stat model/")[0] == ["model/a", "model/b"]
    assert complete("rm o")[0] == ["other"]
    assert complete("ls m")[0] == ["model/a", "model/b"]
    assert complete("stat with")[0] == ["with\\ blank"]
    assert complete("stat with\\ bl")[0] == ["with\\ blank"]
    assert complete("stat a:")[0] == ["b", "c"]  # what stands before the ':' is on the line already
    assert complete("stat star\\*")[0] == ["star\\*1"]
    assert complete("stat ctrl")[0] == []
    assert complete("stat first mo")[0] == ["model/a", "model/b"]
    assert complete("gc mo")[0] == []


def test_names_of_another_store(zct, complete):
    zct.actor("other").create("there")
    assert complete("stat --store other t")[0] == ["there"]
    assert complete("--store=other stat t")[0] == ["there"]
    assert complete("stat t")[0] == []
    assert complete(f"stat --dir {zct.directory} --store other t", prefix="unset ZCT_DIR;")[0] == ["there"]


def test_stores(zct, complete):
    zct.actor("first").create("w")
    zct.actor("second")
    assert complete("ls --store ")[0] == ["first", "second"]
    assert complete("ls --store=s")[0] == ["second"]
    assert complete("rm --stores f")[0] == ["first"]
    assert complete("ls --store /")[1] == ["-o default"]


def test_values(complete):
    assert complete("ls --sort ")[0] == ["name", "size", "age", "held", "none"]
    assert complete("watch --sort=h")[0] == ["held"]
    assert complete("ls --dir ")[1] == ["-o dirnames"]
    assert complete("trim --keep ")[0] == []
    assert complete("load --exists ")[0] == complete("load -e ")[0] == ["error", "replace", "attach"]
    assert complete("save -f np")[0] == ["npy", "npz"]
    assert complete("load ") == ([], ["-o default"])


def test_the_value_of_an_option_is_no_name(zct, complete):
    zct.actor().create("90 days")
    for option in ("-o", "--older-than", "--older-than="):
        assert complete(f"gc {option} 9") == ([], [])
    assert complete("stat 9")[0] == ["90\\ days"]


def test_it_is_quiet_without_a_store(complete):
    assert complete("stat ")[0] == []
    assert complete("frobnicate x")[0] == []


def test_zsh(zct, tmp_path):
    """A shell on a terminal, a line that ends with a tab: what it makes of the line is read off the command it runs."""
    zsh = shutil.which("zsh")
    if not zsh:
        pytest.skip("zsh is not installed")
    zct.actor().create("model/only one")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    os.symlink(zct.path, binaries / "zct")
    (tmp_path / ".zshrc").write_text(
        f"fpath=({ROOT}/cli/completion $fpath)\nautoload -Uz compinit && compinit -u -d {tmp_path}/dump\n"
        "PS1='READY> '\nunsetopt zle_bracketed_paste 2>/dev/null\nsetopt no_beep\n"
    )
    env = {**zct.env, "ZDOTDIR": str(tmp_path), "PATH": f"{binaries}:{os.environ['PATH']}", "TERM": "dumb"}
    master, slave = zct.terminal()
    shell = subprocess.Popen([zsh, "-i"], env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = ""

    def until(word):
        nonlocal seen
        end = time.monotonic() + 60
        while word not in seen:
            assert select.select([master], [], [], max(0, end - time.monotonic()))[0], (word, seen)
            seen += os.read(master, 65536).decode(errors="replace")
        seen = seen.split(word, 1)[1]

    try:
        until("READY> ")
        for typed, word in [
            ("zct stat mod\t\n", "dtype       float32"),
            ("zct save -f safe\t -s x 2>&1 | cut -c 1-13\n", "zct: save: to"),
            ("zct docto\t --explai\t | head -n 1 | cut -c1-3\n", "ok "),
            ("zct ls --stor\t=defa\t --names\n", "model/only one"),
        ]:
            os.write(master, typed.encode())
            until(word)
            until("READY> ")
    finally:
        shell.kill()
        shell.wait()
        os.close(master)
