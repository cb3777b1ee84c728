"""Help, options, exit codes, output: what all commands have in common."""

import os
import subprocess

import pytest

COMMANDS = ["ls", "stat", "head", "load", "save", "rm", "gc", "trim", "check", "watch", "bench", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(zct, command):
    done = zct(command, "--help")
    assert done.stdout.startswith(f"usage: zct {command}")
    assert "Exit:" in done.stdout
    assert done.stderr == ""
    assert zct("help", command).stdout == done.stdout


def test_help_lists_every_command(zct):
    for arguments in (["--help"], ["-h"], ["help"]):
        text = zct(*arguments).stdout
        assert all(f"  {command}" in text for command in COMMANDS)


def test_version(zct):
    assert zct("--version").stdout.startswith("zct 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["help", "frobnicate"],
        ["--nonsense"],
        ["ls", "--nonsense"],
        ["ls", "-z"],
        ["ls", "a", "b"],
        ["ls", "--sort"],
        ["ls", "--sort", "colour"],
        ["ls", "--reverse=yes"],
        ["ls", "--stores", "--sort", "size"],
        ["head"],
        ["head", "-n", "0", "x"],
        ["head", "-n", "many", "x"],
        ["load"],
        ["load", "--exists", "perhaps", "x.npy"],
        ["save"],
        ["save", "x.txt"],
        ["save", "npz"],
        ["save", "--format", "hdf5", "x"],
        ["save", "x.npz", "--glob"],
        ["rm"],
        ["rm", "--stores"],
        ["gc", "name"],
        ["gc", "--older-than", "5m"],
        ["gc", "--unheld", "--older-than", "soon"],
        ["gc", "--unheld", "--older-than", "-5"],
        ["gc", "--unheld", "--older-than", "nan"],
        ["trim", "--keep", "0x10"],
        ["trim", "--keep", "99999999999999999999"],
        ["trim", "extra"],
        ["check", "extra"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_a_sentence_and_code_2(zct, arguments):
    done = zct(*arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("zct: ")
    assert "--help" in done.stderr
    assert done.stderr.count("\n") == 1


NEED_A_STORE = [["ls"], ["stat"], ["stat", "w"], ["head", "w"], ["save", "w.npy"], ["rm", "w"], ["gc"], ["trim"], ["check"]]


@pytest.mark.parametrize("command", NEED_A_STORE, ids=" ".join)
def test_no_store_is_code_2_and_makes_none(zct, command):
    done = zct(*command, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("zct: ")
    assert "default" in done.stderr
    assert os.listdir(zct.directory) == []
    assert zct(*command, "--json", code=2).stdout == ""


def test_the_store_is_chosen_by_option_environment_or_path(zct):
    zct.actor("first").create("one")
    zct.actor("second").create("two")
    assert zct.names("--store", "first") == ["one"]
    zct.env["ZCT_STORE"] = "second"
    assert zct.names() == ["two"]
    path = zct.json("ls")["store"]["path"]
    assert os.path.dirname(path) == zct.directory
    zct.env.update(ZCT_DIR="/nowhere", ZCT_STORE="first")
    assert zct.names("--store", path) == ["two"]
    assert zct.names("--dir", zct.directory) == ["one"]
    before = zct("--store", path, "--json", "ls").stdout
    assert '"two"' in before
    zct("ls", code=2)


@pytest.mark.parametrize("what", [b"", b"not a store", b"\0" * 8192, bytes(range(256)) * 64])
def test_a_file_that_is_no_store(zct, what):
    path = os.path.join(zct.directory, "zct1-0-foreign")
    with open(path, "wb") as file:
        file.write(what)
    for command in (["ls"], ["stat"], ["check"], ["gc"], ["rm", "x"]):
        done = zct(*command, "--store", path, code=2)
        assert done.stderr.startswith("zct: ")
    with open(path, "rb") as file:
        assert file.read() == what


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(zct):
    with open("/dev/full", "w") as full:
        done = zct("--help", code=1, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert "zct: cannot write to standard output" in done.stderr


def run_into_closed_pipe(zct, *arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        return zct(*arguments, capture_output=False, stdout=pipe, stderr=subprocess.PIPE)


def test_a_closed_pipe_is_no_error(zct):
    zct.actor().many(3000)
    for arguments in (["--help"], ["ls"], ["ls", "--json"], ["ls", "--names"], ["stat"], ["check"], ["gc"], ["trim"]):
        assert run_into_closed_pipe(zct, *arguments).stderr == "", arguments


def test_closed_standard_descriptors_harm_no_store(zct):
    zct.actor().create("w", [4])
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for command in ("ls", "gc", "rm nothing", "trim"):
            subprocess.run(["sh", "-c", f"exec {zct.path} {command} {closed}"], env=zct.env, capture_output=True, timeout=300)
    zct("check")
    assert zct.names() == ["w"]
