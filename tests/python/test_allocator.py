"""numpy_allocator: NumPy's arrays made in the store, by this thread or task; where the store cannot, malloc serves."""

import asyncio
import logging
import os
import threading

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

LARGE = 1 << 17  # bytes: above min_bytes


def in_store(store, array):
    """Can it be published without a copy? Then it lies in the store."""
    try:
        t = store.create("is it?", array, copy=False)
    except BufferError:
        return False
    assert np.shares_memory(t, array)
    t.unlink()
    return True


@pytest.fixture
def log():
    """What the package's logger was told."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("zero_copy_tensor_ipc")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def allocator(store):
    with zct.numpy_allocator(store):
        yield


def test_allocator_arrays_are_published(store, allocator, peer):
    data = np.random.randn(300, 300).astype(np.float32)
    t = store.create("x", data, copy=False)
    w = store.attach("x")
    assert np.shares_memory(data, t) and np.shares_memory(data, w) and type(data) is np.ndarray
    data[0, 0] = 42
    assert peer().do("float(zct.attach_shared_tensor('x')[0, 0])") == 42
    del data
    assert w[0, 0] == 42


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.empty((100, 200)),
        lambda: np.zeros((100, 200)),
        lambda: np.asfortranarray(np.ones((100, 200))),
        lambda: np.ones((100, 200)).transpose(),
        lambda: np.arange(20000.0) * 2,
        lambda: np.ones((20, 30, 40)).transpose(1, 0, 2),
        lambda: np.concatenate([np.ones(10000), np.ones(10000)]),
    ],
)
def test_allocator_layouts(store, allocator, make):
    data = make()
    t = store.create("x", data)
    assert np.shares_memory(t, data) and t.shape == data.shape and t.strides == data.strides
    assert np.array_equal(store.attach("x"), data)


def test_allocator_parts_are_copied(store, allocator):
    data = np.ones((300, 300))
    assert not np.shares_memory(store.create("a", data[1:]), data)
    assert not np.shares_memory(store.create("b", data[:, ::2]), data)
    assert np.shares_memory(store.create("c", data), data)
    assert not np.shares_memory(store.create("d", data), data)


def test_small_and_object_arrays(store, allocator):
    small = np.ones(100)
    assert not np.shares_memory(store.create("small", small), small)
    with pytest.raises(TypeError):
        store.create("o", np.array([None] * 20000))


def test_min_bytes(store):
    with zct.numpy_allocator(store, min_bytes=8):
        a = np.ones(100)
    assert np.shares_memory(store.create("x", a), a)
    with zct.numpy_allocator(store, min_bytes=1 << 20):
        b = np.ones(10000)
    assert not np.shares_memory(store.create("y", b), b)


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


def test_not_entered_twice(store):
    a = zct.numpy_allocator(store)
    with a:
        with pytest.raises(RuntimeError):
            a.__enter__()
    with a:
        x = np.ones(10000)
    assert np.shares_memory(store.create("x", x), x)


def test_of_this_thread_alone(store):
    import threading

    made = []
    with zct.numpy_allocator(store):
        thread = threading.Thread(target=lambda: made.append(np.ones(10000)))
        thread.start()
        thread.join()
    assert not np.shares_memory(store.create("x", made[0]), made[0])


def test_resize_and_realloc(store, allocator):
    a = np.arange(20000.0)
    for n in (30000, 100000, 10, 50000):
        a.resize(n, refcheck=False)
        assert a[:10].tolist() == list(range(10))
    grown = np.array([], float)
    grown.resize(40000, refcheck=False)
    grown[:] = 1
    assert grown.sum() == 40000


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


def test_temporaries_do_not_grow_the_store(store, allocator):
    for _ in range(300):
        x = np.ones(200000)
        x = x * 2 + x
    assert x[0] == 3 and store.stats().high < 48 << 20


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


def test_environment_joins_at_first_use(python, directory):
    import os

    python("import numpy as np, zero_copy_tensor_ipc\nnp.ones(100)\n", env={"ZCT_NUMPY_ALLOCATOR": "1"})
    assert os.listdir(directory) == []


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


# ---- whose ---------------------------------------------------------------------------------------------------


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


def test_exception_leaves_it(store):
    with pytest.raises(ZeroDivisionError):
        with zct.numpy_allocator(store):
            1 / 0
    assert not in_store(store, np.ones(LARGE, "u1"))


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


# ---- what --------------------------------------------------------------------------------------------------------


def test_pages(store, allocator):
    for nbytes in (1 << 16, 100000, 1 << 20):
        assert np.empty(nbytes, "u1").ctypes.data % 4096 == 0
    with zct.numpy_allocator(store, min_bytes=1):
        assert all(np.empty(n, "u1").ctypes.data % 64 == 0 for n in range(1, 300, 7))


def test_zeros_are_zero_where_something_was(store, allocator):
    for value in range(1, 20):
        a = np.full(LARGE, value, "u1")
        where = a.ctypes.data
        del a
        b = np.zeros(LARGE, "u1")
        assert b.ctypes.data == where and not b.any()  # the same block: nothing was asked of the store
        del b
    assert store.stats().births < 10


def test_objects_live_there_and_are_not_published(store, allocator):
    thing = object()
    a = np.full(20000, thing)
    assert a[7] is thing and a[-1] is thing
    for data in (a, np.array([("x", thing)] * 20000, dtype=[("name", "U4"), ("thing", "O")])):
        with pytest.raises(TypeError, match="references"):
            store.create("o", data)
    grown = np.array([thing] * 9000)
    grown.resize(30000, refcheck=False)
    assert grown[8999] is thing and len(store.list()) == 0


@pytest.mark.skipif(not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"), reason="NumPy 2 has StringDType")
def test_strings_of_any_length(store, allocator):
    words = np.array(["a", "some words that are longer than fits in place " * 3] * 9000, dtype=np.dtypes.StringDType())
    assert words[1].endswith("place ") and (words[::2] == "a").all()
    with pytest.raises(TypeError):
        store.create("words", words)


def test_temporaries_larger_than_the_stock(store, allocator):
    for i in range(30):
        x = np.full(20 << 20, i, "u1")
        assert x[-1] == i and in_store(store, x)
    assert store.stats().high <= 48 << 20


def test_many_sizes_at_random(store):
    numbers = np.random.RandomState(7)
    kept = {}
    with zct.numpy_allocator(store, min_bytes=256):
        for i in range(3000):
            k = numbers.randint(40)
            size = int(numbers.randint(1, 1 << numbers.randint(1, 18)))
            if k not in kept:
                kept[k] = np.full(size, k, "u1")
            elif i % 3 == 0:
                old = len(kept[k])
                kept[k].resize(size, refcheck=False)
                assert (kept[k][: min(old, size)] == k).all()
                kept[k].fill(k)
            else:
                assert (kept.pop(k) == k).all()
    assert store.check() == [] and store.stats().names > 10
    kept.clear()
    store.gc()
    assert store.stats().names == 0


# ---- how long ----------------------------------------------------------------------------------------------------


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


# ---- where the store cannot ----------------------------------------------------------------------------------------


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


def test_another_thread_in_the_midst_of_it_beside_a_raw_clone(python):
    """The child of a raw clone has the locks as they were: what its arrays do waits for none of them."""
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
