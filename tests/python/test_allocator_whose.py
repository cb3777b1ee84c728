"""numpy_allocator: of this thread or task alone; how long its arrays live, and in whose process."""

import asyncio
import os
import threading

import numpy as np
import pytest
from allocating import LARGE, in_store

import zero_copy_tensor_ipc as zct


def test_only_inside_and_nested(store, directory):
    before = np.ones(10000)
    with zct.Store("inner", directory=directory, capacity=16 << 20) as inner:
        with zct.numpy_allocator(store):
            outer = np.ones(10000)
            with zct.numpy_allocator(inner):
                nested = np.ones(10000)
            outer2 = np.ones(10000)
        after = np.ones(10000)
        assert np.shares_memory(store.create("a", outer), outer)
        assert np.shares_memory(store.create("b", outer2), outer2)
        assert np.shares_memory(inner.create("c", nested), nested)
        for i, a in enumerate((before, after, nested)):
            assert not np.shares_memory(store.create("d%d" % i, a), a)
    assert nested.sum() == 10000


def test_of_this_thread_alone(store):
    import threading

    made = []
    with zct.numpy_allocator(store):
        thread = threading.Thread(target=lambda: made.append(np.ones(10000)))
        thread.start()
        thread.join()
    assert not np.shares_memory(store.create("x", made[0]), made[0])


def run(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, 100))
    finally:
        loop.close()


def test_of_this_task_alone(store, directory):
    """Tasks that are inside at the same time, in turns: each has its own store, and one has none."""
    with zct.Store("other", directory=directory, capacity=16 << 20) as other:

        async def inside(where, made):
            with zct.numpy_allocator(where):
                for _ in range(3):
                    made.append(np.ones(LARGE, "u1"))
                    await asyncio.sleep(0)

        async def outside(made):
            for _ in range(3):
                made.append(np.ones(LARGE, "u1"))
                await asyncio.sleep(0)

        async def main():
            mine, others, none = [], [], []
            await asyncio.gather(inside(store, mine), outside(none), inside(other, others))
            return mine, others, none + [np.ones(LARGE, "u1")]

        mine, others, none = run(main())
        assert [in_store(store, a) for a in mine + others + none] == [True] * 3 + [False] * 7
        assert [in_store(other, a) for a in mine + others + none] == [False] * 3 + [True] * 3 + [False] * 4
        others.clear()


def test_a_task_made_inside_has_it_too(store):
    async def make():
        await asyncio.sleep(0)
        return np.ones(LARGE, "u1")

    async def main():
        with zct.numpy_allocator(store):
            task = asyncio.ensure_future(make())
        return await task, await make()

    inherited, after = run(main())
    assert in_store(store, inherited) and not in_store(store, after)


def test_threads_at_once(store):
    """Each thread has its own `with`; arrays go to other threads and end there."""
    shelf, lock, failures = [], threading.Lock(), []

    def work(number):
        try:
            with zct.numpy_allocator(store):
                for i in range(100):
                    a = np.full(LARGE + 4096 * (i % 5), number, "u1")
                    with lock:
                        shelf.append((number, a))
                        other, b = shelf.pop(0) if len(shelf) > 3 else (number, a)
                    assert (b == other).all()
                    del a, b
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and all((a == number).all() for number, a in shelf)
    assert all(in_store(store, a) for _, a in shelf)
    shelf.clear()
    store.gc()
    assert store.stats().names == 0


def test_threads_that_share_a_context(python):
    """asyncio.to_thread and its like run threads in copies of a context: one allocator, opened by all at once."""
    python(
        """
        import contextvars, threading
        import numpy as np, zero_copy_tensor_ipc as zct
        made, start = [], threading.Barrier(8)
        def work():
            start.wait()
            for _ in range(50):
                made.append(np.ones(100000, "u1"))
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, a in enumerate(made):
            zct.create_shared_tensor("x", a, copy=False).unlink()
        assert i == 399 and zct.Store().check() == []
        """,
        env={"ZCT_NUMPY_ALLOCATOR": "1"},
    )


def test_exception_leaves_it(store):
    with pytest.raises(ZeroDivisionError):
        with zct.numpy_allocator(store):
            1 / 0
    assert not in_store(store, np.ones(LARGE, "u1"))


def test_environment(python):
    code = """
        import numpy as np, zero_copy_tensor_ipc as zct
        data = np.random.randn(300, 300).astype(np.float32)
        t = zct.create_shared_tensor("x", data)
        assert np.shares_memory(data, zct.attach_shared_tensor("x")) is %s
        t.unlink()
    """
    python(code % True, env={"ZCT_NUMPY_ALLOCATOR": "1"})
    python(code % False, env={"ZCT_NUMPY_ALLOCATOR": "0"})


def test_environment_is_of_the_importing_thread(python):
    python(
        """
        import threading
        import numpy as np, zero_copy_tensor_ipc as zct
        def shared(make):
            data = make()
            with zct.create_shared_tensor("x", data) as t:
                return np.shares_memory(data, t)
        def other():
            found.append(shared(lambda: np.ones(100000)))
            with zct.numpy_allocator():
                found.append(shared(lambda: np.ones(100000)))
        found = [shared(lambda: np.ones(100000))]
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert found == [True, False, True], found
        """,
        env={"ZCT_NUMPY_ALLOCATOR": "1"},
    )


def test_environment_joins_at_first_use(python, directory):
    import os

    python("import numpy as np, zero_copy_tensor_ipc\nnp.ones(100)\n", env={"ZCT_NUMPY_ALLOCATOR": "1"})
    assert os.listdir(directory) == []


def test_arrays_outlive_the_with_the_store_and_its_end(directory):
    s = zct.Store("brief", directory=directory, capacity=16 << 20)
    with zct.numpy_allocator(s) as allocator:
        a, b = np.full(LARGE, 3, "u1"), np.full(LARGE, 4, "u1")
    published = s.create("b", b, copy=False)
    s.close()
    assert a[-1] == 3 and os.listdir(directory) == [os.path.basename(s.path)]
    zct.Store.destroy("brief", directory=directory)
    a[:] = 5
    a.resize(3 * LARGE, refcheck=False)  # the store is gone: it moves to ordinary memory
    assert a[0] == a[LARGE - 1] == 5 and allocator.refused == 1
    assert published[-1] == 4
    del a, b
    assert published[-1] == 4
    del published, allocator
    assert os.listdir(directory) == []


def test_forked_child(store, in_child):
    with zct.numpy_allocator(store):
        a, b = np.full(LARGE, 1, "u1"), np.full(LARGE, 2, "u1")

        def child():
            nonlocal a
            assert a[0] == 1
            a = None  # the child's own reference
            c = np.full(LARGE, 3, "u1")
            assert c.ctypes.data != b.ctypes.data
            b[0] = 9  # shared, as its parent's
            c.resize(4 * LARGE, refcheck=False)
            assert store.create("of the child", c, copy=False, lifetime="pinned")[0] == 3

        in_child(child)
        assert a[0] == 1 and (a == 1).all() and b[0] == 9
        d = np.full(LARGE, 4, "u1")
        assert d.ctypes.data not in (a.ctypes.data, b.ctypes.data)
    assert store.attach("of the child")[0] == 3
    store.unlink("of the child")
    a = b = d = None
    store.gc()
    assert store.stats().names == 0
