"""numpy_allocator where the store is full, gone, or not ours to use: malloc serves, np.empty never fails."""

import numpy as np
import pytest
from allocating import LARGE, in_store

import zero_copy_tensor_ipc as zct


def test_where_the_store_is_full_it_is_malloc(directory):
    with zct.Store("small", directory=directory, capacity=4 << 20) as s:
        with zct.numpy_allocator(s):
            arrays = [np.full(1 << 17, i, np.float64) for i in range(12)]
        assert all((a == i).all() for i, a in enumerate(arrays))
        inside = 0
        for i, a in enumerate(arrays):
            try:
                assert np.shares_memory(s.create("x%d" % i, a, copy=False), a)
                inside += 1
            except BufferError:
                pass
        assert 0 < inside < len(arrays)


def test_full_is_said_once_and_counted(directory, log):
    with zct.Store("small", directory=directory, capacity=4 << 20) as s:
        with zct.numpy_allocator(s) as allocator:
            arrays = [np.full(1 << 20, i, "u1") for i in range(12)]
            assert 8 <= allocator.refused <= 11 and all((a == i).all() for i, a in enumerate(arrays))
            refused = allocator.refused
            del arrays[:-1]  # what was in the store is free again
            assert in_store(s, np.ones(1 << 20, "u1")) and allocator.refused == refused
            too_large = np.zeros(5 << 20, "u1")
            assert allocator.refused == refused + 1 and not too_large.any()
            grown = np.full(1 << 20, 7, "u1")
            assert in_store(s, grown)
        grown = np.copy(grown)
        assert not in_store(s, grown)
        assert len(log) == 1 and "'small'" in log[0] and "ordinary memory" in log[0]


def test_grows_out_of_a_full_store(directory):
    with zct.Store("small", directory=directory, capacity=4 << 20) as s:
        with zct.numpy_allocator(s) as allocator:
            a = np.full(1 << 20, 7, "u1")
            a.resize(6 << 20, refcheck=False)
            assert (a[: 1 << 20] == 7).all() and not a[1 << 20 :].any() and allocator.refused == 1
            a.resize(100000, refcheck=False)
            assert (a == 7).all()
        del a
        s.gc()
        assert s.stats().names == 0


def test_destroyed_while_inside(store, directory, log):
    """A Store object's store that is gone gives way to malloc; the default store is made again."""
    with zct.numpy_allocator(store) as allocator:
        a = np.full(LARGE, 1, "u1")
        zct.Store.destroy("t", directory=directory)
        b, c = np.full(LARGE, 2, "u1"), np.full(LARGE, 3, "u1")
        assert (a[0], b[0], c[0]) == (1, 2, 3) and allocator.refused == 2
    assert len(log) == 1 and "malloc" in log[0]


def test_destroyed_default_store_is_made_again(python):
    out = python(
        """
        import logging, sys
        import numpy as np, zero_copy_tensor_ipc as zct
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        with zct.numpy_allocator() as allocator:
            a = np.full(100000, 1)
            zct.Store.destroy("default")
            b = np.full(100000, 2)
            t = zct.create_shared_tensor("b", b, copy=False)
        assert a[0] == 1 and np.shares_memory(b, t) and allocator.refused == 0
        """
    )
    assert out == ""


def test_no_member_slot(python, peer, directory):
    code = """
        import logging, sys
        import numpy as np, zero_copy_tensor_ipc as zct
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        with zct.numpy_allocator("crowded") as allocator:
            a = [np.full(100000, i) for i in range(5)]
            assert all(x[-1] == i for i, x in enumerate(a)) and allocator.refused == 5
    """
    with zct.Store("crowded", directory=directory, capacity=4 << 20, max_members=2):
        peer(ZCT_STORE="crowded").do("zct.list_shared_tensors()")
        out = python(code)
    assert out.count("malloc") == 1 and "crowded" in out, out


def test_forked_child_without_a_slot(directory, peer, in_child):
    with zct.Store("crowded", directory=directory, capacity=4 << 20, max_members=2) as s:
        peer(ZCT_STORE="crowded").do("zct.list_shared_tensors()")
        with zct.numpy_allocator(s) as allocator:
            a = np.full(LARGE, 1, "u1")

            def child():
                nonlocal a
                b = np.full(LARGE, 2, "u1")
                assert a[0] == 1 and b[0] == 2 and allocator.refused == 1
                a.resize(2 * LARGE, refcheck=False)
                assert a[LARGE - 1] == 1 and allocator.refused == 2
                del a, b

            in_child(child)
            assert (a == 1).all() and allocator.refused == 0
        assert s.check() == []


def test_environment_without_a_store_is_malloc(python):
    out = python(
        """
        import numpy as np, zero_copy_tensor_ipc as zct, logging
        logging.basicConfig(format="%(message)s", stream=__import__("sys").stdout)
        a = [np.ones(100000) for _ in range(3)]
        assert sum(x.sum() for x in a) == 300000
        """,
        env={"ZCT_NUMPY_ALLOCATOR": "1", "ZCT_DIR": "/nonexistent/directory"},
    )
    assert out.count("malloc") == 1


def test_raw_clone_beside_a_thread_in_the_midst_of_it(python, sanitizer):
    """The child of a raw clone has the locks as they were: what its arrays do waits for none of them."""
    if sanitizer:
        pytest.skip("the sanitizer's runtime has locks of its own, which a raw clone's child finds held")
    python(
        """
        import ctypes, os, platform, signal, threading
        import numpy as np, zero_copy_tensor_ipc as zct
        number = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
        libc = ctypes.PyDLL(None)  # the GIL stays with this thread
        stop = False
        def work():
            with zct.numpy_allocator():
                while not stop:
                    np.empty(100000)
        thread = threading.Thread(target=work)
        thread.start()
        with zct.numpy_allocator() as allocator:
            for _ in range(20 if number else 0):
                a = np.full(100000, 7)
                pid = libc.syscall(number, signal.SIGCHLD, 0, 0, 0, 0)
                if pid == 0:
                    signal.alarm(60)
                    status = 1
                    try:
                        b = np.full(100000, 8)
                        assert a[-1] == 7 and b[-1] == 8 and allocator.refused == 1
                        a.resize(200000, refcheck=False)
                        assert (a[:100000] == 7).all() and not a[100000:].any()
                        a.resize(10, refcheck=False)
                        del a, b
                        status = 0
                    finally:
                        os._exit(status)
                assert os.waitpid(pid, 0)[1] == 0 and a[-1] == 7
        stop = True
        thread.join()
        """
    )
