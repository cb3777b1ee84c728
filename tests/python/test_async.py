"""Waiting for a name: in a thread, with Ctrl-C, and in event loops."""

import asyncio
import gc
import os
import signal
import threading
import time

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc import _watch


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.fixture(autouse=True)
def no_thread_stays():
    """A watch ends with its last waiter."""
    yield
    gc.collect()
    for watch in list(_watch.watches.values()):
        watch.thread.join(60)
    assert [t.name for t in threading.enumerate() if t.name.startswith("zct ")] == []


async def soon(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def waiting(store, name="x", **arguments):
    """A task that waits for the name, and does so already."""
    task = asyncio.ensure_future(zct.attach_async(name, store=store, **arguments))
    n = sum(len(w.waiters) for w in _watch.watches.values())
    await soon(lambda: sum(len(w.waiters) for w in _watch.watches.values()) == n + 1 or task.done())
    return task


# ---- attach_async ----


def test_it_is_there(store):
    x = store.create("x", np.arange(3.0))
    t = run(zct.attach_async("x", (3,), np.float64, mode="r", store=store))
    assert type(t) is zct.SharedTensor and t.tolist() == x.tolist() and t.mode == "r"
    assert _watch.watches == {}


def test_it_comes(store, peer):
    p = peer()

    async def main():
        task = await waiting(store)
        for i in range(3):  # other names are none of ours
            p.do("zct.create_shared_tensor('other%d', np.zeros(3))" % i)
        await asyncio.sleep(0.02)
        assert not task.done()
        p.do("x = zct.create_shared_tensor('x', np.arange(5))")
        t = await task
        assert t.tolist() == [0, 1, 2, 3, 4] and t.holders == 2
        t[0] = 9
        assert p.do("int(x[0])") == 9

    run(main())


def test_by_the_default_store_and_by_name(python):
    code = """
        import asyncio
        import numpy as np
        import zero_copy_tensor_ipc as zct
        async def main():
            a = asyncio.ensure_future(zct.attach_async("x"))
            b = asyncio.ensure_future(zct.attach_async("x", store="other"))
            await asyncio.sleep(0.01)
            zct.create_shared_tensor("x", np.full(2, 1))
            await a
            assert not b.done()
            zct.create_shared_tensor("x", np.full(2, 2), store="other")
            print((await a).tolist(), (await b).tolist())
        asyncio.run(main())
    """
    assert python(code) == "[1, 1] [2, 2]\n"


def test_the_loop_goes_on_and_nothing_polls(store):
    """While the wait lasts the loop runs other things, and the name is looked for as often as a name came, not by time."""

    async def main():
        looks = []
        task = await waiting(store)
        (watch,) = _watch.watches.values()
        (waiter,) = watch.waiters
        look = waiter.look
        waiter.look = lambda: looks.append(1) or look()
        ticks = 0
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks >= 2 and len(looks) <= 1  # the one of the thread's start, perhaps
        store.create("x", np.zeros(3))
        await task
        assert 1 <= len(looks) <= 3

    run(main())


def test_it_does_not_come(store):
    async def main():
        with pytest.raises(zct.TensorNotFoundError) as e:
            await zct.attach_async("x", store=store, timeout=0.02)
        assert "'x'" in str(e.value) and "timeout" in str(e.value)
        with pytest.raises(zct.TensorNotFoundError):
            await zct.attach_async("x", store=store, timeout=0)
        assert e.value.store == "t"

    run(main())


@pytest.mark.parametrize("timeout", [-1, float("nan"), "x"])
def test_bad_timeouts(store, timeout):
    with pytest.raises((ValueError, TypeError)):
        run(zct.attach_async("x", store=store, timeout=timeout))


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e9])
def test_long_timeouts(store, timeout):
    async def main():
        task = await waiting(store, timeout=timeout)
        store.create("x", np.zeros(3))
        assert (await task).shape == (3,)

    run(main())


def test_errors_are_those_of_attach(store):
    async def main():
        task = await waiting(store, shape=(4,))
        sealed = await waiting(store, "s", mode="r+")
        store.create("x", np.zeros(3))
        with pytest.raises(ValueError, match="4"):
            await task
        store.create("s", np.zeros(3), seal=True)
        with pytest.raises(PermissionError):
            await sealed
        with pytest.raises(ValueError):
            await zct.attach_async("", store=store)
        with pytest.raises(TypeError):
            await zct.attach_async(3, store=store)

    run(main())


def test_cancelled(store):
    async def main():
        task = await waiting(store)
        other = await waiting(store)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        x = store.create("x", np.zeros(3))
        t = await other
        assert t.holders == x.holders == 1
        del t, other

    run(main())


def test_cancelled_when_it_came_already(store):
    """The tensor is on its way to the loop when the task is cancelled: nobody keeps it."""

    async def main():
        task = await waiting(store)
        x = store.create("x", np.zeros(3), lifetime="last")
        (watch,) = list(_watch.watches.values()) or (None,)
        if watch:
            watch.thread.join(30)  # it has handed it over; the loop has not run since
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task, x, watch
        await asyncio.sleep(0)

    run(main())
    gc.collect()
    assert store.list() == [] and store.stats().names == 0


def test_many_of_one_name_and_many_names(store):
    async def main():
        tasks = [asyncio.ensure_future(zct.attach_async("n%d" % (i % 20), store=store)) for i in range(200)]
        await asyncio.sleep(0)
        threads = sum("attach_async" in t.name for t in threading.enumerate())
        assert threads == 1
        keep = [store.create("n%d" % i, np.full(3, i)) for i in range(20)]
        for i, t in enumerate(await asyncio.gather(*tasks)):
            assert t[0] == i % 20
        del keep

    run(main())


def test_loops_in_threads(store):
    got = []

    def loop(i):
        async def main():
            got.append((await zct.attach_async("x", store=store, timeout=60))[0])

        asyncio.run(main())

    threads = [threading.Thread(target=loop, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    while sum(len(w.waiters) for w in list(_watch.watches.values())) < 6:
        time.sleep(0.001)
    store.create("x", np.full(3, 5))
    for t in threads:
        t.join(60)
    assert got == [5] * 6


def test_a_name_that_comes_at_any_moment(store):
    """Births race with the start of the wait: none is missed."""

    async def main():
        for i in range(200):
            name = "r%d" % i
            made = threading.Thread(target=lambda name=name: store.create(name, np.full(1, 1)))
            made.start()
            assert (await zct.attach_async(name, store=store))[0] == 1
            made.join()
            store.unlink(name)

    run(main())


def test_the_loop_is_closed_meanwhile(store, recwarn):
    loop = asyncio.new_event_loop()
    task = loop.create_task(zct.attach_async("x", store=store))
    while not _watch.watches:
        loop.run_until_complete(asyncio.sleep(0))
    (watch,) = _watch.watches.values()
    task.cancel()  # never served: its loop does not run again
    loop.close()
    store.create("x", np.zeros(3))
    watch.thread.join(60)
    assert not watch.thread.is_alive()
    task._log_destroy_pending = False
    del task
    gc.collect()


def test_the_store_is_destroyed(directory):
    async def main():
        store = zct.Store("d", directory=directory, capacity=1 << 20)
        task = await waiting(store)
        zct.Store.destroy("d", directory=directory)
        with pytest.raises(zct.StoreGoneError):
            await task

    run(main())


def test_the_default_store_is_destroyed(python):
    """A new one takes its place, and the wait goes on there, as every call without store= does."""
    code = """
        import asyncio
        import numpy as np
        import zero_copy_tensor_ipc as zct
        async def main():
            task = asyncio.ensure_future(zct.attach_async("x", timeout=60))
            await asyncio.sleep(0.01)
            zct.Store.destroy("default")
            await asyncio.sleep(0.01)
            zct.create_shared_tensor("x", np.zeros(3))
            print((await task).shape)
        asyncio.run(main())
    """
    assert python(code) == "(3,)\n"


def test_after_a_fork(store):
    async def main():
        task = await waiting(store)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.alarm(60)
                assert _watch.watches == {}
                asyncio._set_running_loop(None)
                loop = asyncio.new_event_loop()
                child = loop.create_task(zct.attach_async("c", store=store))
                loop.call_later(0.01, lambda: store.create("c", np.full(2, 7)))
                assert loop.run_until_complete(child)[0] == 7
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        store.create("x", np.zeros(3))
        await task

    run(main())


def test_exit_while_waiting_is_silent_and_in_order(python, directory):
    """The interpreter ends while a thread waits for a name: at once, without a word, and the store is left."""
    code = """
        import asyncio, threading
        import zero_copy_tensor_ipc as zct
        def loop():
            try:
                asyncio.run(zct.attach_async("never"))
            except RuntimeError:
                pass
        threading.Thread(target=loop, daemon=True).start()
        from zero_copy_tensor_ipc import _watch
        while not any(w.waiters for w in list(_watch.watches.values())):
            pass
    """
    assert python(code) == ""
    with zct.Store("default", directory=directory) as store:
        assert store.stats().members == 1 and store.stats().reaped == 0


def test_import_is_late(python):
    code = """
        import sys
        import zero_copy_tensor_ipc as zct
        assert "attach_async" in dir(zct) and "compat" in dir(zct)
        before = set(sys.modules)
        assert "asyncio" not in before and "zero_copy_tensor_ipc.compat" not in before and "logging" not in before
        zct.attach_async
        assert "asyncio" in sys.modules
        try:
            zct.nothing
        except AttributeError as e:
            print(e)
    """
    assert python(code) == "module 'zero_copy_tensor_ipc' has no attribute 'nothing'\n"


# ---- attach_shared_tensor(timeout=) ----


def test_other_threads_run_meanwhile(store):
    """The GIL is released while an attach waits: this thread makes what the other waits for."""
    got = []
    t = threading.Thread(target=lambda: got.append(store.attach("x", timeout=None)))
    t.start()
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass
    assert t.is_alive()
    store.create("x", np.zeros(3))
    t.join(60)
    assert got[0].shape == (3,)


INTERRUPTED = """
import os, signal, sys, threading, time
import zero_copy_tensor_ipc as zct
{handler}
def interrupt():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    zct.attach_shared_tensor("never", timeout={timeout})
except KeyboardInterrupt:
    print("interrupted")
except zct.TensorNotFoundError:
    print("not found", calls)
"""


def test_ctrl_c(python):
    assert python(INTERRUPTED.format(handler="", timeout=None)) == "interrupted\n"


def test_a_signal_handler_that_returns_does_not_end_the_wait(python):
    handler = "calls = []\nsignal.signal(signal.SIGINT, lambda *a: calls.append(1))"
    assert python(INTERRUPTED.format(handler=handler, timeout=0.5)) == "not found [1]\n"
