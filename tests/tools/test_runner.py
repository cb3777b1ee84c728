"""The runner of the tests itself: what it counts, and what it does not let pass."""

import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def run(tmp_path):
    """run(script, ...) -> (exit status, lines) of the runner over shell scripts that stand for test programs."""

    def run_scripts(*scripts, timeout=20, arguments=()):
        tests = []
        for number, script in enumerate(scripts):
            program = tmp_path / f"program{number}"
            program.write_text("#!/bin/sh\n" + script)
            program.chmod(0o755)
            tests.append(
                {
                    "name": f"test_{number}",
                    "suite": ["zct:unit" if number % 2 == 0 else "zct:threads"],
                    "cmd": [str(program)],
                    "timeout": timeout,
                    "is_parallel": True,
                }
            )
        information = tmp_path / "meson" / "meson-info"
        information.mkdir(parents=True)
        (information / "intro-tests.json").write_text(json.dumps(tests))
        command = [sys.executable, os.path.join(ROOT, "tools", "run_tests.py"), "--only", "c"]
        command += ["--meson", str(tmp_path / "meson"), "--logs", str(tmp_path / "logs"), *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        return done.returncode, done.stdout.decode().splitlines()

    return run_scripts


@pytest.mark.parametrize(
    ("script", "closing"),
    [
        ("echo ok one; echo ok two", "2 passed, 0 failed, 0 skipped"),
        ("echo ok one; echo 'skip two: why'", "1 passed, 0 failed, 1 skipped"),
        ("echo 'skip all: why'; exit 77", "0 passed, 0 failed, 1 skipped"),
        ("exit 77", "0 passed, 0 failed, 1 skipped"),
        ("echo noise; echo okay; echo ok one", "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_what_passes(run, script, closing):
    status, lines = run(script)
    assert lines[-1] == closing
    assert status == 0


@pytest.mark.parametrize(
    ("script", "closing", "sentence"),
    [
        ("echo ok one; echo not ok two; exit 1", "1 passed, 1 failed, 0 skipped", "| not ok two"),
        ("echo ok one; exit 1", "1 passed, 1 failed, 0 skipped", "named no failed test"),
        ("echo not ok one", "0 passed, 2 failed, 0 skipped", "exited with 0"),
        ("echo ok one; kill -SEGV $$", "1 passed, 1 failed, 0 skipped", "SIGSEGV"),
        ("echo ok one; exit 99", "1 passed, 1 failed, 0 skipped", "exited with 99"),
        ("true", "0 passed, 1 failed, 0 skipped", "ran no test"),
        ("echo ok one; touch $ZCT_DIR/zct1-0-left", "1 passed, 1 failed, 0 skipped", "zct1-0-left"),
        ("echo ok one; sleep 30 &", "1 passed, 1 failed, 0 skipped", "left processes behind"),
    ],
)
def test_what_fails(run, script, closing, sentence):
    status, lines = run(script)
    assert lines[-1] == closing
    assert status == 1
    assert any(sentence in line for line in lines)


def test_a_program_that_hangs_is_stopped_with_its_children(run):
    status, lines = run("echo ok one; sleep 50 & trap '' ABRT; sleep 50", timeout=1)
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"
    assert any("was stopped after 1 s" in line for line in lines)
    assert status == 1


def test_programs_are_added_up_and_chosen(run):
    status, lines = run("echo ok one", "echo ok two; echo ok three", arguments=["--suite", "threads"])
    assert lines[-1] == "2 passed, 0 failed, 0 skipped"
    assert status == 0


def test_a_choice_of_nothing_is_a_failure(run):
    status, lines = run("echo ok one", arguments=["no such name"])
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"
    assert status == 1
