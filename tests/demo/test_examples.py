"""Every example runs by itself, and leaves nothing behind: each gets a directory of its own for its stores."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

pytest.importorskip("zero_copy_tensor_ipc")

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run(*command):
    with tempfile.TemporaryDirectory(dir=SHM) as stores:
        done = subprocess.run(
            [sys.executable, *map(str, command)], env={**os.environ, "ZCT_DIR": stores}, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, os.listdir(stores)


def test_there_are_examples():
    assert "quickstart.py" in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    status, output, left = run(ROOT / "examples" / name)
    assert status == 0 and "Traceback" not in output, output
    assert left == [], output


def test_demo_with_a_file_of_ones_own(tmp_path):
    header = b'{"w": {"dtype": "BF16", "shape": [64, 64], "data_offsets": [0, 8192]}}'
    path = tmp_path / "own.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + os.urandom(8192))
    status, output, left = run(ROOT / "examples" / "demo" / "run.py", "--model", path, "--workers", 2)
    assert status == 0, output
    assert "raw uint16" in output and "no reference" in output and "left behind: nothing" in output
    assert left == [], output


def test_demo_with_a_file_that_is_no_model(tmp_path):
    path = tmp_path / "junk.safetensors"
    path.write_bytes(b"\xff" * 100)
    status, output, left = run(ROOT / "examples" / "demo" / "run.py", "--model", path)
    assert status == 1 and "not a safetensors file" in output and "Traceback" not in output, output
    assert left == []
