"""The runner of the models: it ends with all that it started."""

import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 100  # seconds: a watchdog, no measurement


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_told_to_end_it_leaves_no_compiler_behind(tmp_path, number):
    """Stubs stand for spin and the compiler: the compiler has a child that would run for ever."""
    pids = tmp_path / "pids"
    stubs = {"spin": "echo > pan.c", "slow-cc": "sleep 1000 & echo $$ $! >> %s.new; mv %s.new %s; wait" % (pids, pids, pids)}
    for name, text in stubs.items():
        (tmp_path / name).write_text("#!/bin/sh\n%s\n" % text)
        (tmp_path / name).chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, os.path.join(ROOT, "models", "run.py"), "--quick", "--jobs", "1", "--cc", "slow-cc"]
    environment = {**os.environ, "PATH": "%s:%s" % (tmp_path, os.environ["PATH"])}
    process = subprocess.Popen([*command, "--work", str(work)], env=environment, stdout=subprocess.DEVNULL)
    try:
        until(pids.exists)
        started = [int(word) for word in pids.read_text().split()]
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        until(lambda: not any(alive(pid) for pid in started))
        assert len(started) == 2 and os.listdir(str(work)) == []
    finally:
        process.kill()
