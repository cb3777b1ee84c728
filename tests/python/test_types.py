"""The types: mypy --strict finds nothing in the package, and its stubs say what the extension has."""

import os
import subprocess
import sys

import pytest

import zero_copy_tensor_ipc as zct

pytest.importorskip("mypy")


def run(*command, **more):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=550,
        **more,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_package(tmp_path):
    run("mypy", "--strict", "-p", zct.__name__, cwd=str(tmp_path))


@pytest.mark.slow
def test_the_stubs(tmp_path):
    run("mypy.stubtest", zct.__name__, cwd=str(tmp_path))


PROGRAM = """
import asyncio
from typing import Tuple
import numpy as np
import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc.compat import shared_memory, sharedarray

def use(store: zct.Store) -> Tuple[str, int, int]:
    tensor: zct.SharedTensor = zct.create_shared_tensor("x", np.zeros(3), store=store, exists="owned")
    array = zct.attach_posix("/other", (2, 3), "f4", offset=8, mode="r")
    array[0, 0].item()
    segment = shared_memory.SharedMemory(create=True, size=10, track=False)
    items = shared_memory.ShareableList([1, "two", None, 3.0])
    with shared_memory.SharedMemoryManager() as manager:
        size: int = manager.SharedMemory(10).size
    names = [a.name for a in sharedarray.list()]
    print(segment.buf, items[0], size, names, tensor.name)
    return tensor.posix_location()

async def wait() -> zct.SharedTensor:
    return await zct.attach_async("x", (3,), np.float64, mode="r", timeout=5)

asyncio.run(wait())
"""


@pytest.mark.slow
def test_a_program_that_uses_it(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    run("mypy", "--strict", "program.py", cwd=str(tmp_path))


@pytest.mark.slow
def test_mistakes_are_found(tmp_path):
    (tmp_path / "program.py").write_text(
        "import zero_copy_tensor_ipc as zct\nzct.zeros(3, exists='never')\nzct.attach_posix('x', 3)\nzct.attach_async(3)\n"
    )
    with pytest.raises(AssertionError) as e:
        run("mypy", "--strict", "program.py", cwd=str(tmp_path))
    assert all("program.py:%d: error" % line in str(e.value) for line in (2, 3, 4)), os.linesep + str(e.value)
