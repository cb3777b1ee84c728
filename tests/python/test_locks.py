"""with t.read_lock() and t.write_lock(): who gets in, who waits, what is refused, and what the death of a holder does."""

import _thread
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


@pytest.fixture
def t():
    tensor = zct.create_shared_tensor("locked", np.arange(6.0).reshape(2, 3))
    yield tensor
    zct.unlink_shared_tensor("locked")


def in_process(code, *arguments):
    """Another interpreter that has attached the tensor as t; it prints a line when it is where it should be."""
    head = "import sys, os, time, zero_copy_tensor_ipc as zct\nt = zct.attach_shared_tensor('locked')\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


HOLD = "with t.%s_lock() as a:\n    %s\n    print('in', flush=True)\n    sys.stdin.readline()\n"


def holder(kind, body="pass"):
    process = in_process(HOLD % (kind, body))
    assert process.stdout.readline() == "in\n"
    return process


def let_go(process):
    process.communicate("\n")
    assert process.returncode == 0


def test_the_arrays(t):
    with t.read_lock() as a:
        assert type(a) is np.ndarray and not a.flags.writeable
        assert (a == np.arange(6.0).reshape(2, 3)).all()
        assert np.shares_memory(a, t)
        with pytest.raises(ValueError):
            a[0, 0] = 1
        first = id(a)
    with t.write_lock() as b:
        assert b is t
        b[0, 0] = 7
    with t.read_lock() as c:
        assert id(c) == first and c[0, 0] == 7  # kept, and live


def test_a_part_and_another_shape(t):
    with t[1].read_lock() as a:
        assert a.tolist() == [3, 4, 5] and not a.flags.writeable
    with t.T.read_lock() as a:
        assert a.shape == (3, 2)
    part = t[1, :2]
    with part.write_lock() as b:
        assert b is part
        b += 1
    assert t[1].tolist() == [4, 5, 5]


def test_the_view_outlives_its_tensor():
    t = zct.zeros(1000)
    with t.read_lock() as a:
        pass
    del t
    gc.collect()
    assert a.sum() == 0


def test_nothing_is_kept():
    for use in ("read_lock", "write_lock"):
        t = zct.create_shared_tensor("gone soon", np.zeros(10), lifetime="last")
        with getattr(t, use)() as a:
            pass
        del t, a
        with pytest.raises(zct.TensorNotFoundError):
            zct.attach_shared_tensor("gone soon")


def test_readers_beside_each_other(t):
    process = holder("read")
    with t.read_lock(timeout=0):
        with t.read_lock():
            pass
    with pytest.raises(TimeoutError, match="reads"):
        with t.write_lock(timeout=0.05):
            pass
    let_go(process)
    with t.write_lock(timeout=0):
        pass


def test_a_writer_alone(t):
    process = holder("write")
    for lock in (t.read_lock, t.write_lock):
        with pytest.raises(TimeoutError):
            with lock(timeout=0):
                pass
        with pytest.raises(TimeoutError, match="pid %d" % process.pid):
            with lock(timeout=0.05):
                pass
    let_go(process)


def test_who_waits_gets_it(t):
    process = holder("write", "a[:] = 9")
    threading.Timer(0.1, process.stdin.write, ["\n"]).start()
    threading.Timer(0.15, process.stdin.flush).start()
    with t.read_lock() as a:
        assert (a == 9).all()
    process.communicate()


def test_other_threads_run_while_one_waits(t):
    process = holder("write")
    seen = []
    waiter = threading.Thread(target=lambda: seen.append(t.read_lock(timeout=20).__enter__() is not None))
    waiter.start()
    counted = sum(1 for _ in range(100000))  # with the GIL
    assert counted == 100000 and waiter.is_alive()
    let_go(process)
    waiter.join()
    assert seen == [True]


@pytest.mark.parametrize("outer, inner", [("read", "write"), ("write", "write"), ("write", "read")])
def test_a_thread_does_not_wait_for_itself(t, outer, inner):
    with getattr(t, outer + "_lock")():
        with pytest.raises(RuntimeError, match="wait for itself"):
            with getattr(t, inner + "_lock")():
                pass
    with t.write_lock(timeout=0):
        pass


def test_refused(t):
    with pytest.raises(PermissionError):
        with zct.attach_shared_tensor("locked", mode="r").write_lock():
            pass
    t.seal()
    with pytest.raises(PermissionError):
        with t.write_lock():
            pass
    with t.read_lock():
        pass
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError):
            t.read_lock(timeout=bad)
    with pytest.raises(TypeError):
        t.read_lock(patience=1)
    with pytest.raises(TypeError):
        zct.LockGuard()


def test_guards(t):
    guard = t.write_lock()
    assert not guard.held and not guard.recovered
    with pytest.raises(RuntimeError):
        guard.mark_consistent()
    with pytest.raises(RuntimeError):
        guard.__exit__(None, None, None)
    for _ in range(2):
        with guard:
            assert guard.held
            with pytest.raises(RuntimeError, match="already"):
                guard.__enter__()
            guard.mark_consistent()
        assert not guard.held
    left = t.write_lock()
    left.__enter__()
    del left  # nobody can leave it any more
    with t.write_lock(timeout=0):
        pass
    t.close()
    with pytest.raises(zct.ClosedError):
        t.read_lock()


def test_an_exception_gives_the_lock_back(t):
    for lock in (t.read_lock, t.write_lock):
        with pytest.raises(KeyError):
            with lock():
                raise KeyError
    with t.write_lock(timeout=0):  # and poisons nothing
        pass


def test_another_thread_leaves(t):
    guard = t.read_lock()
    guard.__enter__()
    thread = threading.Thread(target=guard.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with t.write_lock(timeout=0):
        pass


def poison(t):
    process = holder("write", "a[0] = 9")
    process.kill()
    process.communicate()


def test_a_writer_that_dies_poisons(t):
    poison(t)
    for lock in (t.read_lock, t.write_lock):
        with pytest.raises(zct.WriterDiedError, match="died while writing"):
            with lock():
                pass
    assert issubclass(zct.WriterDiedError, RuntimeError)
    with t.read_lock(recover=True) as a:
        assert a[0].tolist() == [9, 9, 9]
    guard = t.write_lock(recover=True)
    with pytest.raises(KeyError):  # not mended
        with guard:
            assert guard.recovered
            raise KeyError
    with pytest.raises(zct.WriterDiedError):
        with t.read_lock():
            pass
    with guard as a:
        assert guard.recovered
        a[0] = 1
    with t.read_lock():
        pass
    with guard:
        assert not guard.recovered


def test_mark_consistent(t):
    poison(t)
    guard = t.write_lock(recover=True)
    with pytest.raises(KeyError):
        with guard:
            guard.mark_consistent()
            raise KeyError
    with t.read_lock():
        pass


def test_a_reader_that_dies_is_passed(t):
    process = holder("read")
    process.kill()
    process.communicate()
    with t.write_lock(timeout=20) as a:
        a[0, 0] = 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_child_has_no_locks(t, kind):
    guard = getattr(t, kind + "_lock")()
    with guard as a:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                held = guard.held
                guard.__exit__(None, None, None)  # silent, and unlocks nothing
                try:
                    with t.write_lock(timeout=0):
                        pass
                except TimeoutError:
                    status = 0 if not held and a.sum() == 15 else 2
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert guard.held
    with t.write_lock(timeout=0):
        pass


def test_ctrl_c_ends_a_wait(t):
    process = holder("write")
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        with t.read_lock():
            pass
    timer.join()
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        with t.write_lock():
            pass
    timer.join()
    let_go(process)
    with t.write_lock(timeout=0):
        pass


def add_many(name, count):
    t = zct.attach_shared_tensor(name)
    for _ in range(count):
        with t.write_lock() as a:
            a += 1
        with t.read_lock() as a:
            assert (a == a.flat[0]).all()


def test_nothing_is_lost_between_processes(t):
    with t.write_lock() as a:
        a[:] = 0
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=("locked", 300)) for _ in range(3)]
    for worker in workers:
        worker.start()
    add_many("locked", 300)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (t == 1200).all()
