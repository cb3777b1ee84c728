"""Fixtures: a private store, a peer process, a Python that runs a piece of code. Nothing outlives its test: each has its
own directory in shared memory, removed whatever happens, and each process has a watchdog."""

import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap

import pytest

# The default store of this process, and of every child that is not told otherwise: nobody's real one.
_GIVEN = os.environ.get("ZCT_DIR") or "/dev/shm"
_ROOT = tempfile.mkdtemp(prefix="zct-pytest-", dir=_GIVEN if os.access(_GIVEN, os.W_OK) else None)
os.environ["ZCT_DIR"] = _ROOT
os.environ["ZCT_CAPACITY"] = str(256 << 20)
for _name in ("ZCT_STORE", "ZCT_LOG", "ZCT_NUMPY_ALLOCATOR"):
    os.environ.pop(_name, None)

import zero_copy_tensor_ipc as zct  # noqa: E402

TIMEOUT = 300  # of any one child: a watchdog, no measurement


def pytest_configure(config):
    # BLAS has its threads; the children here call none of it
    config.addinivalue_line("filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning")


def pytest_unconfigure(config):
    shutil.rmtree(_ROOT, ignore_errors=True)  # no fixture: those do not run where no test does


@pytest.fixture(scope="session")
def sanitizer():
    """The sanitizer that this process runs under, if any: "address" or "thread"."""
    with open("/proc/self/maps") as maps:
        found = re.search(r"/lib([at])san\.so", maps.read())
    return {"a": "address", "t": "thread"}[found.group(1)] if found else None


@pytest.fixture
def directory():
    path = tempfile.mkdtemp(prefix="t-", dir=_ROOT)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def store(directory):
    """A store of this test alone; sound at its end."""
    with zct.Store("t", directory=directory, capacity=64 << 20) as s:
        yield s
        try:
            assert s.check() == []
        except (zct.StoreGoneError, zct.ClosedError):
            pass


@pytest.fixture
def python(directory):
    """python(code, *args, env={}): run code in a fresh interpreter whose default store is the test's; its output."""

    def run(code, *args, env=None, status=0, quiet=True, cwd=None):
        command = [sys.executable, "-X", "faulthandler"]
        command += [code] if code.endswith(".py") else ["-c", textwrap.dedent(code)]
        done = subprocess.run(
            command + [str(a) for a in args],
            env={**os.environ, "ZCT_DIR": directory, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=TIMEOUT,
            cwd=cwd or directory,
        )
        assert done.returncode == status, done.stderr
        if quiet:
            assert done.stderr == ""
        return done.stdout

    return run


_PEER = """
import json, os, sys
import numpy as np
import zero_copy_tensor_ipc as zct
names = {"np": np, "zct": zct, "os": os}
for line in sys.stdin:
    code = json.loads(line)
    try:
        try:
            answer = ["ok", eval(compile(code, "<peer>", "eval"), names)]
        except SyntaxError:
            exec(compile(code, "<peer>", "exec"), names)
            answer = ["ok", None]
    except BaseException as error:
        answer = ["error", type(error).__name__, str(error)]
    print(json.dumps(answer, default=str), flush=True)
"""


class PeerError(Exception):
    pass


class Peer:
    """Another process, told what to do line by line."""

    def __init__(self, directory, env=None):
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", _PEER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
            env={**os.environ, "ZCT_DIR": directory, "ZCT_STORE": "t", **(env or {})},
        )
        self.pid = self.process.pid

    def start(self, code):
        self.process.stdin.write(json.dumps(textwrap.dedent(code)) + "\n")
        self.process.stdin.flush()

    def finish(self):
        poll = select.poll()  # not select: the number of the descriptor may be large
        poll.register(self.process.stdout, select.POLLIN)
        assert poll.poll(TIMEOUT * 1000), "the peer gives no answer"
        line = self.process.stdout.readline()
        assert line, "the peer died"
        answer = json.loads(line)
        if answer[0] == "error":
            raise PeerError("%s: %s" % (answer[1], answer[2]))
        return answer[1]

    def do(self, code):
        self.start(code)
        return self.finish()

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def leave(self):
        self.process.stdin.close()
        status = self.process.wait(TIMEOUT)
        self.process.stdout.close()
        return status

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT)
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass


@pytest.fixture
def peer(store, directory):
    """peer(): a new process with the test's store as its default one."""
    peers = []

    def make(**env):
        peers.append(Peer(directory, env))
        return peers[-1]

    yield make
    for p in peers:
        p.end()


@pytest.fixture
def in_child():
    """in_child(function): run it in a forked child; the child's exit status must be 0."""

    def run(function):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.alarm(TIMEOUT)
                function()
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0

    return run


@pytest.fixture
def allocator(store):
    """The test runs inside the allocator of its store."""
    with zct.numpy_allocator(store):
        yield


@pytest.fixture
def log():
    """What the package's logger was told, as a list of messages."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("zero_copy_tensor_ipc")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
