"""zct bench: every figure has both sides, and nothing of it stays."""

import os
import signal
import subprocess

NAMES = ["attach", "create", "wait", "copy-cold", "copy-warm", "publish"]


def test_figures(zct):
    result = zct.json("bench", "--seconds", "500ms", "--size", "1M")
    assert list(result) == ["schema", "command", "directory", "size", "figures", "complete"]
    assert result["directory"] == zct.directory and result["complete"] is True
    assert [figure["name"] for figure in result["figures"]] == NAMES
    for figure in result["figures"]:
        assert list(figure) == ["name", "what", "standard", "ours_ns", "standard_ns", "bytes"]
        assert figure["ours_ns"] > 0 and figure["standard_ns"] > 0
    assert [figure["bytes"] for figure in result["figures"]] == [None, None, None, 1 << 20, 1 << 20, 1 << 20]
    assert os.listdir(zct.directory) == []


def test_text(zct):
    lines = zct("bench", "-t", "300ms", "-z", "1M").stdout.splitlines()
    assert lines[0].split()[:4] == ["WHAT", "OURS", "STANDARD", "RATIO"]
    assert len(lines) == 1 + len(NAMES) + 1


def test_what_is_there_stays(zct):
    zct.actor().create("small", [10])
    zct.json("bench", "-t", "300ms", "-z", "1M")
    assert zct.names() == ["small"] and len(os.listdir(zct.directory)) == 1


def test_an_interrupt_leaves_nothing(zct):
    process = subprocess.Popen(
        [zct.path, "bench", "--seconds", "100", "--size", "1M"], env=zct.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not os.listdir(zct.directory) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and b"interrupted" in error
    assert os.listdir(zct.directory) == []


def test_usage(zct):
    assert "--size takes" in zct("bench", "--size", "1K", code=2).stderr
    assert "--seconds takes" in zct("bench", "--seconds", "soon", code=2).stderr
    assert "takes no names" in zct("bench", "what", code=2).stderr
    assert "no room" in zct("bench", "--dir", "/proc", code=2).stderr
