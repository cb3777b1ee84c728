"""Versions: counting completed writes, waiting for one tensor or for many."""

import asyncio
import errno
import gc
import os
import signal
import threading

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc import _watch


def test_counting(store):
    t = store.create("x", np.zeros(3))
    assert t.version == 0
    assert t.commit() == 1 and t.commit() == 2
    assert store.attach("x", mode="r").version == 2
    assert t[1:].version == 2  # a view counts for the whole tensor
    assert t.copy().__class__ is np.ndarray
    store.create("x", np.zeros(3), exists="replace")
    assert store.attach("x").version == 0 and t.version == 2


def test_who_may_count(store):
    t = store.create("x", np.zeros(3))
    for mode, word in (("r", "read-only"), ("c", "copy-on-write")):
        with pytest.raises(PermissionError, match=word) as e:
            store.attach("x", mode=mode).commit()
        assert e.value.filename == "x"
    result = np.partition(t, 1)
    if isinstance(result, zct.SharedTensor):
        assert result.version is None
        with pytest.raises(ValueError, match="private memory"):
            result.commit()
    t.close()
    with pytest.raises(zct.ClosedError):
        t.commit()
    with pytest.raises(zct.ClosedError):
        t.wait(0)
    with pytest.raises(zct.ClosedError):
        zct.wait_any([t])


def test_wait(store, peer):
    p = peer()
    t = store.create("x", np.zeros(3))
    with pytest.raises(TimeoutError, match="'x'"):
        t.wait(0, 0)
    with pytest.raises(TimeoutError):
        t.wait(newer_than=0, timeout=0.001)
    p.do("t = zct.attach_shared_tensor('x', mode='r')")
    p.start("t.wait(0)")
    t.commit()
    assert p.finish() == 1
    assert t.wait(0, 0) == 1
    p.start("t.wait(1)")
    t.commit()
    assert p.finish() == 2


def test_wait_for_the_next_one(store):
    t = store.create("x", np.zeros(3))
    t.commit()
    stop = threading.Event()

    def count():
        while not stop.wait(0.002):
            t.commit()

    thread = threading.Thread(target=count)
    thread.start()
    try:
        assert t.wait() > 1
        assert zct.wait_any([t]) == 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("value", [-1, 1 << 64, "1", 1.5])
def test_versions_are_ints(store, value):
    t = store.create("x", np.zeros(3))
    with pytest.raises((ValueError, TypeError)):
        t.wait(value, 0)
    with pytest.raises((ValueError, TypeError)):
        zct.wait_any([t], [value], 0)


def test_replaced_and_unlinked(store, peer):
    p = peer()
    t = store.create("x", np.zeros(3))
    p.do("t = zct.attach_shared_tensor('x')")
    p.start("t.wait(0)")
    new = store.create("x", np.ones(3), exists="replace")
    with pytest.raises(Exception, match="TensorReplacedError.*'x'.*attach again"):
        p.finish()
    with pytest.raises(zct.TensorReplacedError) as e:
        t.wait(0)
    assert isinstance(e.value, zct.TensorNotFoundError) and e.value.filename == "x" and e.value.errno == errno.ESTALE
    t.commit()
    assert t.wait(0) == 1  # who still has it may go on counting
    p.do("t = zct.attach_shared_tensor('x')")
    p.start("t.wait(0)")
    store.unlink("x")
    with pytest.raises(Exception, match="TensorNotFoundError.*unlinked"):
        p.finish()
    with pytest.raises(zct.TensorNotFoundError) as e:
        zct.wait_any([t, new], [5, 0])
    assert e.value.filename == "x"


def test_any(store, peer):
    p = peer()
    tensors = [store.create("m%d" % i, np.zeros(2)) for i in range(130)]
    p.do("ts = [zct.attach_shared_tensor('m%d' % i, mode='r') for i in range(130)]")
    for i in (0, 64, 129):
        p.do("seen = [t.version for t in ts]")
        p.start("zct.wait_any(ts, seen)")
        tensors[i].commit()
        assert p.finish() == i
    with pytest.raises(TimeoutError):
        zct.wait_any(tensors, timeout=0)
    with pytest.raises(TimeoutError):
        zct.wait_any(iter(tensors), timeout=0.001)


def test_any_of_what(store, directory):
    t = store.create("x", np.zeros(3))
    with pytest.raises(ValueError, match="no tensor"):
        zct.wait_any([])
    with pytest.raises(ValueError, match="1 tensors, but 2 versions"):
        zct.wait_any([t], [0, 0])
    with pytest.raises(TypeError, match="ndarray"):
        zct.wait_any([np.zeros(3)])
    with pytest.raises(TypeError):
        zct.wait_any(t.array[0])
    with zct.Store("other", directory=directory, capacity=1 << 20) as other:
        with pytest.raises(ValueError, match="two stores"):
            zct.wait_any([t, other.create("y", np.zeros(3), lifetime="last")])


def test_the_waiter_may_be_killed(store, peer):
    p = peer()
    t = store.create("x", np.zeros(3))
    p.do("t = zct.attach_shared_tensor('x')")
    p.start("t.wait(10**6)")
    p.kill()
    for i in range(100):
        assert t.commit() == i + 1
    store.gc()
    assert t.holders == 1


class Stop(Exception):
    pass


@pytest.mark.parametrize("which", ["one", "any"])
def test_a_signal_ends_a_wait(store, which):
    t = store.create("x", np.zeros(3))

    armed = [True]

    def handler(number, frame):
        if armed:
            armed.clear()  # more may come behind the first
            raise Stop

    before = signal.signal(signal.SIGUSR1, handler)
    done = threading.Event()

    def send():  # until one hits the sleep
        while not done.wait(0.02):
            os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=send)
    try:
        with pytest.raises(Stop):
            thread.start()
            t.wait(0) if which == "one" else zct.wait_any([t], [0])
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


# ---- in an event loop ----


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.fixture
def no_thread_stays():
    yield
    gc.collect()
    for watch in list(_watch.watches.values()):
        watch.thread.join(60)
    assert [t.name for t in threading.enumerate() if t.name.startswith("zct ")] == []


async def sleeping(coroutine):
    """A task that waits, and whose watch knows it."""
    before = sum(len(w.waiters) for w in _watch.watches.values())
    task = asyncio.ensure_future(coroutine)
    while sum(len(w.waiters) for w in _watch.watches.values()) == before and not task.done():
        await asyncio.sleep(0.001)
    return task


def test_async_wait(store, peer, no_thread_stays):
    p = peer()
    t = store.create("x", np.zeros(3))
    p.do("t = zct.attach_shared_tensor('x')")

    async def main():
        assert await t.wait_async(0, timeout=60) if t.commit() else False
        task = await sleeping(t.wait_async(1))
        assert not task.done()
        p.do("t.commit()")
        assert await task == 2
        task = await sleeping(t.wait_async())  # from here on
        p.do("t.commit()")
        assert await task == 3

    run(main())


def test_async_many_tensors_and_one_thread(store, peer, no_thread_stays):
    p = peer()
    tensors = [store.create("m%d" % i, np.zeros(2)) for i in range(50)]
    p.do("ts = [zct.attach_shared_tensor('m%d' % i) for i in range(50)]")

    async def main():
        tasks = [await sleeping(t.wait_async(0)) for t in tensors for _ in range(2)]
        assert sum(t.name == "zct wait_async" for t in threading.enumerate()) == 1
        p.do("[t.commit() for t in reversed(ts)]")
        assert await asyncio.gather(*tasks) == [1] * 100

    run(main())


def test_async_how_it_ends(store, no_thread_stays):
    t = store.create("x", np.zeros(3))

    async def main():
        with pytest.raises(TimeoutError, match="'x'"):
            await t.wait_async(0, timeout=0.01)
        with pytest.raises(TimeoutError):
            await t.wait_async(0, timeout=0)
        task, other = await sleeping(t.wait_async(0)), await sleeping(t.wait_async(0))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        new = store.create("x", np.zeros(3), exists="replace")
        with pytest.raises(zct.TensorReplacedError, match="'x'"):
            await other
        task = await sleeping(new.wait_async(0))
        store.unlink("x")
        with pytest.raises(zct.TensorNotFoundError, match="unlinked"):
            await task
        with pytest.raises((ValueError, TypeError)):
            await new.wait_async(-1)
        with pytest.raises(ValueError):
            await new.wait_async(0, timeout=-1)
        new.close()
        with pytest.raises(zct.ClosedError):
            await new.wait_async(0)

    run(main())


def test_async_in_two_loops(store, no_thread_stays):
    t = store.create("x", np.zeros(3))
    got = []

    def loop():
        got.append(run(t.wait_async(0)))

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    while sum(len(w.waiters) for w in list(_watch.watches.values())) < 2:
        pass
    t.commit()
    for thread in threads:
        thread.join(60)
    assert got == [1, 1]


def test_async_and_the_end_of_the_program(python):
    assert (
        python("""
        import asyncio, threading
        import numpy as np
        import zero_copy_tensor_ipc as zct
        t = zct.create_shared_tensor("x", np.zeros(3), lifetime="last")
        def loop():
            asyncio.run(t.wait_async(0))
        threading.Thread(target=loop, daemon=True).start()
        from zero_copy_tensor_ipc import _watch
        while not any(w.waiters for w in list(_watch.watches.values())):
            pass
        print("over")
        """)
        == "over\n"
    )
