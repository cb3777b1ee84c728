"""Threads of one process: they make, find, publish, send and drop tensors at once, and whoever waits lets the others run.

CI runs this file also with the extension built for ThreadSanitizer, which sees what the GIL does not order: copies, waiting
and everything else that the library does while other threads run Python.
"""

import os
import pickle
import queue
import signal
import threading
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

TIMEOUT = 300  # of a wait: a watchdog, no measurement
ROUNDS = 40 if os.environ.get("TEST_QUICK") else 300


def together(*works):
    """Run each of the functions in a thread of its own, all from one moment on; raises what the first of them raised."""
    start = threading.Barrier(len(works))
    failures = []

    def one(work):
        try:
            start.wait()
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def crew(count, work):
    """work(n) in `count` threads, n from 0 on."""
    together(*[lambda n=n: work(n) for n in range(count)])


class Belt:
    """What threads pass on to each other; each that takes ends when one that puts has ended."""

    def __init__(self):
        self.queue = queue.Queue(16)

    def put(self, thing):
        self.queue.put(thing, timeout=TIMEOUT)

    def end(self):
        self.put(Belt)

    def __iter__(self):
        while True:
            thing = self.queue.get(timeout=TIMEOUT)
            if thing is Belt:
                return
            yield thing
            del thing


def whole(array):
    """All elements are the same: no half-written contents, none of two tensors."""
    return array.size and (array == array.flat[0]).all()


def test_attach_create_drop(store):
    t = store.create("x", np.zeros(100))

    def work(n):
        for i in range(ROUNDS):
            a = store.attach("x", mode=("r", "r+", "c")[i % 3] if i % 20 == 0 else None)
            b = store.create("w%d" % n, np.full(100, i), exists="replace")
            assert b[0] == i and a.shape == (100,)
            del a, b
            store.list()

    crew(4, work)
    assert t.holders == 1 and store.check() == []


def test_one_name_replaced_and_read(store):
    """The name is always there, and always whole; generations only rise."""
    store.create("x", np.zeros(2000))

    def replace(n):
        for i in range(ROUNDS):
            store.create("x", np.full(2000, n * ROUNDS + i), exists="replace")

    def read():
        last = 0
        for _ in range(2 * ROUNDS):
            t = store.attach("x", mode="r")
            assert whole(t) and t.generation >= last
            last = t.generation

    together(lambda: replace(0), lambda: replace(1), read, read)
    assert store.attach("x").generation == 2 * ROUNDS + 1
    store.unlink("x")
    assert store.stats().names == 0


def test_one_creator_wins(store):
    for _ in range(ROUNDS // 10):
        won = []

        def work(n, won=won):
            try:
                won.append((n, store.create("x", np.full(10, n))))
            except zct.TensorExistsError:
                pass

        crew(4, work)
        ((n, t),) = won
        assert t[0] == n and store.attach("x")[0] == n
        store.unlink("x")


def test_large_copies_beside_small_work(store):
    """Copies run without the GIL: their source and their target stay what they are."""

    def large(n):
        data = np.full(1 << 20, n + 1, np.uint8)
        for _ in range(max(4, ROUNDS // 10)):
            t = store.create("large%d" % n, data, exists="replace")
            assert (t == n + 1).all()

    def small():
        for i in range(ROUNDS):
            t = zct.full(10, i, store=store)
            assert store.create("small", t, exists="replace").sum() == 10 * i

    together(lambda: large(0), lambda: large(1), small)
    assert store.check() == []


def test_waiting_lets_others_run(store):
    """Without the GIL released in a wait, nobody could bring what is waited for."""

    def wait():
        for i in range(ROUNDS // 4):
            assert store.attach("late%d" % i, timeout=TIMEOUT)[0] == i

    def bring():
        for i in range(ROUNDS // 4):
            store.create("late%d" % i, np.full(10, i))

    together(wait, wait, bring)


def test_waiting_is_ended_by_destroy(directory):
    s = zct.Store("w", directory=directory, capacity=1 << 20)

    def wait():
        with pytest.raises(zct.StoreGoneError):
            s.attach("never", timeout=None)

    together(wait, wait, lambda: zct.Store.destroy("w", directory=directory))
    s.close()


def test_one_array_used_by_all(store):
    t = store.create("x", np.arange(1000))

    def work(n):
        for i in range(ROUNDS):
            view = t[i % 500 :]
            assert view.name == "x" and view[0] == i % 500 and t.is_shared and t.holders == 1
            assert t.array[1] == 1 and memoryview(t)[2] == 2 and not t.closed and not t.sealed
            del view

    crew(4, work)


def test_one_array_closed_by_all(store):
    for i in range(ROUNDS // 4):
        t = store.create("x", np.full(10, i), exists="replace")
        view = t[2:]

        def work(n, t=t):
            try:
                t.holders
                t.handle
                t.unlink()
            except zct.ClosedError:
                pass
            t.close()

        crew(4, work)
        assert t.closed and (view == i).all()
        del t, view
    store.gc(handles=0)
    assert store.stats().handles == 0 and store.check() == []


def test_arrays_dropped_by_others(store):
    """Whoever drops the last view ends the tensor, in whatever thread that is."""
    passed = Belt()

    def make(n):
        for i in range(ROUNDS):
            passed.put(store.create("n%d" % n, np.full(50, i), exists="replace", lifetime="last")[i % 40 :])
        passed.end()

    def drop():
        for view in passed:
            assert whole(view)

    together(lambda: make(0), lambda: make(1), drop, drop)
    assert store.stats().names == 0 and store.stats().used == 0


def test_published_once(store):
    """Of two that publish one array one gives it the name, and the other one's is a copy, or the name is taken."""
    for i in range(ROUNDS // 4):
        e = zct.full(1000, i, store=store)
        done = []

        def work(n, e=e, done=done):
            done.append(store.create("of %d" % n, e))

        crew(2, work)
        assert sorted(np.shares_memory(t, e) for t in done) == [False, True]
        assert all((t == i).all() for t in done)
        store.unlink("of 0")
        store.unlink("of 1")


def test_sent_to_others(store):
    """By handle and by multiprocessing's pickles, each taken by another thread."""
    passed = Belt()

    def send(n):
        for i in range(ROUNDS):
            t = zct.full(20, i, store=store)
            passed.put(pickle.dumps(t.handle) if n else bytes(ForkingPickler.dumps(t[5:])))
        passed.end()

    def take():
        for sent in passed:
            got = pickle.loads(sent)
            got = got.attach() if isinstance(got, zct.Handle) else got
            assert whole(got) and got.is_shared

    together(lambda: send(0), lambda: send(1), take, take)
    assert store.stats().handles == 0 and store.stats().names == 0


def test_allocator_in_some_threads(store):
    """The allocator is of the thread that entered it; what it made is freed and published by others."""
    passed = Belt()

    def inside():
        with zct.numpy_allocator(store, min_bytes=1024):
            for i in range(ROUNDS):
                passed.put(np.full(1000 + i, i))
        passed.end()

    def outside():
        for i, a in enumerate(passed):
            assert (a == i).all()
            if i % 3 == 0:
                assert (store.create("a%d" % threading.get_ident(), a, exists="replace") == i).all()
            mine = np.full(1000, i)
            with pytest.raises(BufferError):
                store.create("private", mine, copy=False)

    crew(4, lambda n: inside() if n == 0 else outside() if n == 1 else None)
    crew(4, lambda n: inside() if n % 2 else sum(whole(a) for a in passed))
    with zct.numpy_allocator(store, min_bytes=1024):  # alone: nobody's thread has the allocator's lock, and it is had
        alone = np.full(1000, 1)
    assert np.shares_memory(store.create("alone", alone, copy=False), alone)
    for record in store.list():
        store.unlink(record.name)
    assert store.check() == []


def test_looking_beside_work(store):
    stop = threading.Event()

    def work(n):
        try:
            for i in range(ROUNDS):
                t = store.create("n%d" % (i % 5), np.full(10 + i, n), exists="replace")
                if i % 3 == 0:
                    t.unlink()
                if i % 7 == 0:
                    store.create("sealed%d" % n, np.ones(3), exists="replace", seal=True)
        finally:
            stop.set()

    def look():
        while not stop.is_set():
            assert all(record.nbytes == 8 * record.shape[0] for record in store.list())
            assert store.stats().members == 1
            assert store.check() == []
            store.gc()
            store.trim()
            zct.Store.list_stores(os.path.dirname(store.path))

    together(lambda: work(0), lambda: work(1), look)


def test_log_from_threads(store, peer, caplog):
    """Each of the dead is told of, whichever thread noticed."""
    caplog.set_level("DEBUG", "zero_copy_tensor_ipc")
    peers = [peer() for _ in range(3)]
    for n, p in enumerate(peers):
        p.do("t = zct.create_shared_tensor('of %d', np.zeros(3))" % n)
        p.kill()
    crew(3, lambda n: (store.gc(), store.create("of %d" % n, np.ones(3))))
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert all("'of %d'" % n in said for n in range(3))


def test_one_store_object_closed_under_another_thread(directory):
    for _ in range(10):
        s = zct.Store("c", directory=directory, capacity=1 << 20)
        running = threading.Event()

        def work(s=s, running=running):
            with pytest.raises(zct.ClosedError):
                while True:
                    s.create("x", np.zeros(10), exists="replace")
                    running.set()

        def close(s=s, running=running):
            running.wait()
            s.close()

        together(work, close)


def test_stores_opened_and_closed(directory):
    def work(n):
        for i in range(ROUNDS // 4):
            with zct.Store("s%d" % (i % 2), directory=directory, capacity=1 << 20) as s:
                t = s.create("of %d" % n, np.full(10, i), exists="replace")
            assert (t == i).all()
            with zct.Store("s%d" % (i % 2), directory=directory) as s:
                s.unlink("of %d" % n)

    crew(4, work)
    for i in range(2):  # two that leave at once may both stand back; the next one removes what is empty
        zct.Store("s%d" % i, directory=directory).close()
    assert os.listdir(directory) == []


def test_first_use_by_all(python):
    """The first calls of a process join the default store once, from whichever thread they come."""
    python(
        """
        import threading
        import numpy as np
        import zero_copy_tensor_ipc as zct
        start = threading.Barrier(6)
        seen, failures = [], []
        def work(n):
            try:
                start.wait()
                seen.append(zct.create_shared_tensor("of %d" % n, np.full(3, n)))
            except BaseException as failure:
                failures.append(failure)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failures, failures
        assert len({t.store.path for t in seen}) == 1
        assert zct.Store().stats().members == 1
        assert sorted(r.name for r in zct.list_shared_tensors()) == ["of %d" % n for n in range(6)]
        """
    )


def test_fork_with_busy_threads(store, sanitizer):
    if sanitizer:
        pytest.skip("AddressSanitizer's allocator may be locked in a child that is forked beside threads")
    stop = threading.Event()

    def work(n):
        while not stop.is_set():
            t = store.create("w%d" % n, np.full(50, n), exists="replace")
            del t

    def forks():
        try:
            for i in range(20):
                pid = os.fork()
                if pid == 0:
                    code = 1
                    try:
                        signal.alarm(TIMEOUT)
                        t = store.create("child", np.full(10, i), exists="replace")
                        code = 0 if t[0] == i else 2
                    finally:
                        os._exit(code)
                assert os.waitpid(pid, 0)[1] == 0
        finally:
            stop.set()

    together(lambda: work(0), lambda: work(1), forks)
    store.gc()
    assert store.check() == [] and store.stats().members == 1
