"""compat.shared_memory.SharedMemoryManager: its segments end with it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc.compat import shared_memory
from zero_copy_tensor_ipc.compat.shared_memory import SharedMemoryManager


def there(name):
    try:
        shared_memory.SharedMemory(name)
    except FileNotFoundError:
        return False
    return True


def test_with():
    with SharedMemoryManager() as manager:
        shm = manager.SharedMemory(size=100)
        shared = manager.ShareableList(range(5))
        shm.buf[0] = 7
        name, list_name = shm.name, shared.shm.name
        assert there(name) and there(list_name) and list(shared) == [0, 1, 2, 3, 4]
    assert not there(name) and not there(list_name)
    assert shm.buf[0] == 7 and shared[4] == 4  # what is held stays


def test_start_and_shutdown():
    manager = SharedMemoryManager()
    manager.start()
    shm = manager.SharedMemory(100)
    with manager._Client(manager._address, authkey=manager._authkey) as connection:
        assert multiprocessing.managers.dispatch(connection, None, "list_segments") == [shm.name]
    manager.shutdown()
    assert not there(shm.name)
    with pytest.raises(OSError):
        manager.SharedMemory(100)
    assert [t for t in zct.list_shared_tensors() if t.name.startswith("psm_")] == []


def test_the_manager_has_them_when_nobody_else_does():
    with SharedMemoryManager() as manager:
        shm = manager.SharedMemory(100)
        name = shm.name
        shm.buf[0] = 5
        shm.close()
        del shm
        again = shared_memory.SharedMemory(name)
        assert again.buf[0] == 5


def test_released():
    with SharedMemoryManager() as manager:
        shm = manager.SharedMemory(100)
        with manager._Client(manager._address, authkey=manager._authkey) as connection:
            multiprocessing.managers.dispatch(connection, None, "release_segment", (shm.name,))
        assert not there(shm.name)


def test_one_that_was_unlinked_already():
    with SharedMemoryManager() as manager:
        manager.SharedMemory(100).unlink()


def test_bad_arguments():
    with SharedMemoryManager() as manager:
        with pytest.raises(ValueError):
            manager.SharedMemory(0)
        with pytest.raises(ValueError):
            manager.SharedMemory(-1)
        with pytest.raises(TypeError):
            manager.ShareableList([[]])
    with pytest.raises(Exception, match="has shut down"):
        manager.get_server()


def test_a_server_in_this_process():
    server = SharedMemoryManager().get_server()
    assert {"track_segment", "release_segment", "list_segments"} <= set(server.public)
    server.listener.close()


def _make(address, authkey, queue):
    manager = SharedMemoryManager(address=address, authkey=authkey)
    manager.connect()
    shm = manager.SharedMemory(10)
    shm.buf[0] = 3
    queue.put(shm.name)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_from_another_process(method):
    context = multiprocessing.get_context(method)
    with SharedMemoryManager(authkey=b"k") as manager:
        queue = context.Queue()
        p = context.Process(target=_make, args=(manager.address, b"k", queue))
        p.start()
        name = queue.get(timeout=100)
        p.join(100)
        assert shared_memory.SharedMemory(name).buf[0] == 3  # its maker has gone
    assert not there(name)


OWNER = """
import multiprocessing, os, sys, time
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    from zero_copy_tensor_ipc.compat.shared_memory import SharedMemoryManager
    manager = SharedMemoryManager()
    manager.start()
    if sys.argv[2] == "child":  # it keeps the pipe open by which a server learns of the end of this one
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        child.start()
    names = [manager.SharedMemory(100).name, manager.ShareableList([1, 2]).shm.name]
    print(" ".join(names), manager._process.pid, child.pid if sys.argv[2] == "child" else 0, flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("how", ["owner", "child", "group"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_kill_9(method, how, directory, tmp_path):
    """Of the process that started the manager, or of it and the server."""
    if (method, how) == ("forkserver", "child") and not hasattr(os, "pidfd_open"):
        pytest.skip("Python 3.8 has no way to see that")
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    env = {**os.environ, "ZCT_DIR": directory}
    owner = subprocess.Popen(
        [sys.executable, str(script), method, how], stdout=subprocess.PIPE, universal_newlines=True, env=env
    )
    child = 0
    try:
        first, second, server, child = owner.stdout.readline().split()
        store = zct.Store("default", directory=directory)
        assert {t.name for t in store.list()} == {first, second}
        owner.kill()
        if how == "group":
            os.kill(int(server), signal.SIGKILL)
        owner.wait(100)
        end = time.monotonic() + 100
        while store.list() and time.monotonic() < end:
            store.gc()
            time.sleep(0.01)
        assert store.list() == [] and store.stats().names == 0
        store.close()
    finally:
        owner.kill()
        owner.wait(100)
        owner.stdout.close()
        if int(child):
            os.kill(int(child), signal.SIGKILL)


def test_nothing_is_said_at_exit(python):
    code = """
        from zero_copy_tensor_ipc.compat.shared_memory import SharedMemoryManager
        if __name__ == "__main__":
            manager = SharedMemoryManager()
            manager.start()
            shm = manager.SharedMemory(10)
            print(shm.size)
    """
    assert python(code) == "10\n"
