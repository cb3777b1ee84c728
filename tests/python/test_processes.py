"""Forks, kills, exits, interpreters, log."""

import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_forked_child_is_a_member_of_its_own(store, in_child):
    t = store.create("x", np.arange(3))

    def child():
        t[0] = 7
        assert t.holders == 2
        assert store.attach("x")[0] == 7
        u = store.create("from child", np.ones(3))
        assert u.sum() == 3 and store.stats().members == 2

    in_child(child)
    assert t[0] == 7 and store.attach("from child").sum() == 3
    store.gc()
    assert t.holders == 1 and store.stats().members == 1


def test_forked_child_keeps_what_the_parent_lets_go(store):
    t = store.create("x", np.full(100000, 3.0), lifetime="last")
    a, b = os.pipe()
    c, d = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(a, 1)
        ok = (t == 3).all()
        os.write(d, b"y" if ok else b"n")
        os.read(a, 1)
        os._exit(0)
    try:
        del t
        for _ in range(10):
            store.create("other", np.zeros(100000), exists="replace")
        os.write(b, b"x")
        assert os.read(c, 1) == b"y"
        assert "x" in [r.name for r in store.list()]
    finally:
        os.write(b, b"x")
        os.waitpid(pid, 0)
        for fd in (a, b, c, d):
            os.close(fd)
    store.gc()
    assert "x" not in [r.name for r in store.list()]


def test_exec_lets_go(store, directory):
    t = store.create("x", np.zeros(3), lifetime="last")
    child = subprocess.Popen(["sleep", "100"])
    try:
        del t
        for _ in range(200):  # exec closes one descriptor after the other; Popen returns in the middle of it
            store.gc()
            if not store.list():
                break
            time.sleep(0.05)
        assert store.list() == []
    finally:
        child.kill()
        child.wait()


EXITS = {
    "live arrays": "keep = [t, t[1:], zct.zeros(3), t.handle, memoryview(t)]",
    "module global in a cycle": "class A: pass\na = A(); a.a = a; a.t = t; a.f = lambda: t",
    "at exit": "import atexit; atexit.register(lambda: zct.attach_shared_tensor('x').sum())",
    "os._exit": "import os; os._exit(0)",
    "daemon thread": """import threading
def work():
    while True:
        zct.attach_shared_tensor('x')[0]
threading.Thread(target=work, daemon=True).start()""",
    "open store": "s = zct.Store('other', capacity=1 << 20); u = s.create('y', [1])",
    "allocator": "c = zct.numpy_allocator(); c.__enter__(); big = np.ones(100000)",
    "with left by exit": "t.__enter__(); raise SystemExit(0)",
    "__del__": "class D:\n    def __del__(self): zct.list_shared_tensors()\nd = D()",
    "thread with arrays": """import threading
def work():
    a = zct.attach_shared_tensor('x')
threading.Thread(target=work).start()""",
}


@pytest.mark.parametrize("kind", sorted(EXITS))
def test_interpreter_exit_is_silent(python, kind):
    code = "import numpy as np\nimport zero_copy_tensor_ipc as zct\nt = zct.create_shared_tensor('x', np.arange(10000))\n"
    python(code + EXITS[kind], env={"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "ignore"})


SECOND = """
try:
    import zero_copy_tensor_ipc
except ImportError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("config", ["", "isolated", "legacy"])
def test_second_interpreter_is_refused(python, config):
    output = python(
        """
        import sys
        import numpy, zero_copy_tensor_ipc
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            try:
                import _interpreters as interpreters
            except ImportError:
                raise SystemExit(print("skip: this Python has no module for them"))
        try:
            i = interpreters.create(*sys.argv[2:3] if sys.argv[2] else ())
        except TypeError:
            raise SystemExit(print("skip: this Python has one kind of them"))
        failure = interpreters.run_string(i, sys.argv[1])
        assert not failure, failure
        t = zero_copy_tensor_ipc.zeros(3)  # the first one goes on
        """,
        SECOND,
        config,
        quiet=False,
    )
    if output.startswith("skip: "):
        pytest.skip(output[6:].strip())
    assert "main interpreter only" in output and "use processes" in output


def test_import_does_not_join(python, directory):
    python("import zero_copy_tensor_ipc")
    assert os.listdir(directory) == []


def test_imported_again(python):
    python(
        """
        import sys
        import zero_copy_tensor_ipc as a
        t = a.create_shared_tensor("x", [1, 2, 3])
        for name in [n for n in sys.modules if n.startswith("zero_copy_tensor_ipc")]:
            del sys.modules[name]
        import zero_copy_tensor_ipc as b
        assert type(b.attach_shared_tensor("x")) is type(t) is b.SharedTensor
        assert a.TensorNotFoundError is b.TensorNotFoundError
        """
    )


# ---- log ----------------------------------------------------------------------------------------------------


def test_log_tells_of_the_dead(store, peer, caplog):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.zeros(3))")
    p.kill()
    with caplog.at_level(logging.DEBUG, "zero_copy_tensor_ipc"):
        store.gc()
        store.create("x", np.ones(3))
    assert caplog.records and all(r.name == "zero_copy_tensor_ipc" for r in caplog.records)
    assert all(r.levelno in (10, 20, 30) and r.getMessage() for r in caplog.records)


LEFTOVER = """
    import os, numpy as np, zero_copy_tensor_ipc as zct
    pid = os.fork()
    if pid == 0:
        zct.create_shared_tensor("x", np.zeros(3), store="t")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    zct.create_shared_tensor("x", np.ones(3), store="t")
"""


def test_log_is_silent_by_default(store, python):
    python(LEFTOVER)


def test_log_to_stderr_when_asked(store, directory):
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LEFTOVER)],
        env={**os.environ, "ZCT_DIR": directory, "ZCT_LOG": "debug"},
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=100,
    )
    assert done.returncode == 0 and "zero_copy_tensor_ipc" in done.stderr and "'x'" in done.stderr


def test_log_handler_that_raises_or_calls_back(store, peer):
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            seen.append(len(store.list()))
            raise RuntimeError("from a handler")

    logger = logging.getLogger("zero_copy_tensor_ipc")
    handler = Handler()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        p = peer()
        p.do("t = zct.create_shared_tensor('x', np.zeros(3))")
        p.kill()
        store.gc()
        assert store.create("x", np.ones(3)).sum() == 3
        assert seen
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


# ---- a stopped process in the way ------------------------------------------------------------------------------


def test_attach_and_drop_never_wait_for_a_stopped_process(store, peer):
    t = store.create("x", np.arange(3))
    p = peer()
    p.do("t = zct.attach_shared_tensor('x')")
    p.stop()
    try:
        for _ in range(1000):
            assert store.attach("x")[1] == 1
        assert t.holders == 2
        with pytest.raises(zct.TensorExistsError):
            store.create("x", np.zeros(3))
        store.unlink("x")
        assert store.create("x", np.zeros(3)).sum() == 0
    finally:
        p.go_on()
    assert p.do("t.tolist()") == [0, 1, 2]
