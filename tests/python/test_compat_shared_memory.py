"""compat.shared_memory: what programs rely on in the standard library's module, and what is better here.

Where both are to agree, a test runs with both.
"""

import errno
import gc
import multiprocessing
import os
import pickle
import struct
import sys
from multiprocessing import shared_memory as stdlib

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc.compat import shared_memory as ours
from zero_copy_tensor_ipc.compat import _shareable_list

BOTH = pytest.mark.parametrize("module", [stdlib, ours], ids=["stdlib", "ours"])


@pytest.fixture
def name():
    """A name that nobody has, in either; gone at the end."""
    n = "zct-test-%d" % os.getpid()
    yield n
    for module in (stdlib, ours):
        try:
            module.SharedMemory(n).unlink()
        except FileNotFoundError:
            pass


@pytest.fixture(autouse=True)
def nothing_stays():
    before = {t.name for t in zct.list_shared_tensors()}
    yield
    gc.collect()
    for t in zct.list_shared_tensors():
        if t.name not in before:
            zct.unlink_shared_tensor(t.name)


def finish(shm):
    shm.close()
    shm.unlink()


# ---- SharedMemory ----


@BOTH
def test_create_and_attach(module, name):
    a = module.SharedMemory(name, True, size=512)
    assert a.name == name and a.size == 512 and len(a.buf) == 512
    assert isinstance(a.buf, memoryview) and a.buf.format == "B" and not a.buf.readonly and bytes(a.buf) == bytes(512)
    a.buf[0] = 42
    b = module.SharedMemory(name)
    assert b.name == name and b.size == 512 and b.buf[0] == 42
    b.buf[-1] = 24
    assert a.buf[-1] == 24
    b.buf[1:6] = b"howdy"
    assert bytes(a.buf[1:6]) == b"howdy"
    with pytest.raises((ValueError, TypeError)):
        a.buf[0:2] = b"abc"
    with pytest.raises(IndexError):
        a.buf[512]
    b.close()
    assert a.buf[0] == 42
    finish(a)
    with pytest.raises(FileNotFoundError):
        module.SharedMemory(name)


@BOTH
def test_a_name_that_is_taken(module, name):
    a = module.SharedMemory(name, create=True, size=10)
    with pytest.raises(FileExistsError) as e:
        module.SharedMemory(name, create=True, size=10)
    assert e.value.errno == errno.EEXIST and e.value.filename.strip("/") == name
    a.close()  # closed, and not unlinked: still taken
    with pytest.raises(FileExistsError):
        module.SharedMemory(name, create=True, size=10)
    a.unlink()
    b = module.SharedMemory(name, create=True, size=20)
    assert b.size == 20
    finish(b)


@BOTH
def test_names_of_its_own(module):
    segments = [module.SharedMemory(create=True, size=1) for _ in range(20)]
    assert len({s.name for s in segments}) == 20
    for s in segments:
        assert s.name.startswith("psm_") and "/" not in s.name
        finish(s)


@BOTH
def test_unlink(module, name):
    a = module.SharedMemory(name, create=True, size=10)
    b = module.SharedMemory(name)
    b.unlink()  # by any
    a.buf[0] = 5
    assert b.buf[0] == 5  # and whoever has it keeps it
    if module is ours or sys.version_info < (3, 9):  # else the tracker grumbles
        with pytest.raises(FileNotFoundError):
            a.unlink()
    a.close()
    b.close()


@BOTH
def test_bad_arguments(module):
    with pytest.raises(ValueError, match="positive"):
        module.SharedMemory(create=True, size=-1)
    with pytest.raises(ValueError, match="different from zero"):
        module.SharedMemory(create=True, size=0)
    with pytest.raises(ValueError, match="different from zero"):
        module.SharedMemory("x", create=True)
    with pytest.raises(ValueError, match="can only be None if create=True"):
        module.SharedMemory(create=False)
    with pytest.raises(ValueError, match="can only be None if create=True"):
        module.SharedMemory()
    if module is ours or sys.version_info >= (3, 13):  # before, it took the name up to there
        with pytest.raises(ValueError, match="null"):
            module.SharedMemory("a\0b", create=True, size=1)
    with pytest.raises(TypeError):
        module.SharedMemory(create=True, size="many")
    with pytest.raises(FileNotFoundError) as e:
        module.SharedMemory("zct-there-is-no-such-one")
    assert e.value.errno == errno.ENOENT


@BOTH
def test_closed(module, name):
    a = module.SharedMemory(name, create=True, size=10)
    a.close()
    a.close()
    assert a.buf is None and a.name == name and a.size == 10
    a.unlink()


@BOTH
def test_repr(module, name):
    a = module.SharedMemory(name, create=True, size=10)
    assert repr(a) == "SharedMemory(%r, size=10)" % name
    finish(a)


@BOTH
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(module, name, protocol):
    a = module.SharedMemory(name, create=True, size=10)
    a.buf[0] = 9
    b = pickle.loads(pickle.dumps(a, protocol))
    assert type(b) is type(a) and b.name == name and b.size == 10 and b.buf[0] == 9
    dumped = pickle.dumps(a, protocol)
    b.close()
    finish(a)
    with pytest.raises(FileNotFoundError):
        pickle.loads(dumped)


@pytest.mark.parametrize("track", [True, False])
def test_track(name, track):
    a = ours.SharedMemory(name, create=True, size=10, track=track)
    assert zct.attach_shared_tensor(name).shape == (10,)
    b = ours.SharedMemory(name, track=track)
    assert b.size == 10
    b.close()
    finish(a)
    with pytest.raises(TypeError):
        ours.SharedMemory(name, True, 10, track)  # by keyword alone, as there


def test_numpy_over_it(name):
    a = ours.SharedMemory(name, create=True, size=80)
    x = np.ndarray((10,), np.float64, buffer=a.buf)
    x[:] = np.arange(10)
    b = ours.SharedMemory(name)
    y = np.ndarray((10,), np.float64, buffer=b.buf)
    assert y.tolist() == x.tolist()
    z, m = np.frombuffer(b.buf, np.float64), b.buf
    b.close()  # the standard library: BufferError, or a crash at the next line
    finish(a)
    others = [zct.create_shared_tensor("o%d" % i, np.full(80, 255, np.uint8)) for i in range(20)]
    assert x[3] == y[3] == z[3] == 3 and len(m) == 80
    x[3] = 7
    assert y[3] == z[3] == 7 and others[0][0] == 255


def test_it_is_a_tensor(name):
    a = ours.SharedMemory(name, create=True, size=10)
    t = zct.attach_shared_tensor(name, (10,), np.uint8)
    t[3] = 3
    assert a.buf[3] == 3
    finish(a)
    t = zct.create_shared_tensor(name, np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)))
    b = ours.SharedMemory("/" + name)
    assert b.size == 24 and bytes(b.buf) == t.T.tobytes()
    zct.unlink_shared_tensor(name)
    t = zct.create_shared_tensor(name, np.arange(3), seal=True)
    assert ours.SharedMemory(name).buf.readonly


def test_memory_goes_with_the_last():
    store = zct.Store()
    before = store.stats().used
    a = ours.SharedMemory(create=True, size=1 << 20)
    b = ours.SharedMemory(a.name)
    assert store.stats().used >= before + (1 << 20)
    a.unlink()
    del a
    gc.collect()
    assert store.stats().used >= before + (1 << 20)
    b.close()
    assert store.stats().used == before


# ---- what the tracker does wrong ----

ATTACH = """
from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory
import sys
shm = SharedMemory(sys.argv[1])
shm.buf[0] = 77
assert "multiprocessing.resource_tracker" not in sys.modules
"""

CREATE = """
import os, signal, sys
from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory, ShareableList
shm = SharedMemory(sys.argv[1] or None, create=True, size=100, track=sys.argv[2] == "True")
shm.buf[0] = 5
print(shm.name, flush=True)
os.kill(os.getpid(), int(sys.argv[3]))
"""


def test_who_attaches_and_ends_takes_it_from_nobody(python, directory):
    code = """
        import subprocess, sys
        from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory
        shm = SharedMemory(create=True, size=100)
        subprocess.run([sys.executable, "-c", sys.argv[1], shm.name], check=True)
        print(shm.buf[0], SharedMemory(shm.name).buf[0])
        shm.unlink()
    """
    assert python(code, ATTACH) == "77 77\n"


def test_who_makes_one_and_ends_takes_it_from_nobody(python):
    name = python(CREATE, "", True, 0).strip()
    code = "import sys; from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory as S; print(S(sys.argv[1]).buf[0])"
    assert python(code, name) == "5\n"


def test_what_the_killed_leave_is_replaced(python):
    """The same name again, after a kill -9 of all who had it."""
    code = CREATE.replace("print", "os.environ.get('Q') or print")
    for _ in range(2):
        assert python(code, "again", True, 9, status=-9) == "again\n"
    assert python(code, "again", True, 0) == "again\n"


def test_untracked_ones_are_never_replaced(python):
    assert python(CREATE, "kept", False, 9, status=-9) == "kept\n"
    code = """
        from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory
        try:
            SharedMemory("kept", create=True, size=5)
        except FileExistsError:
            print(SharedMemory("kept").buf[0])
    """
    assert python(code) == "5\n"


def test_a_full_store_takes_leftovers_back(store, peer, monkeypatch):
    """Segments without a name of the user's whose makers were killed: given back when room is needed, nothing else is."""
    p, q = peer(), peer()
    for process in (q, p):
        process.do("from zero_copy_tensor_ipc.compat.shared_memory import SharedMemory")
    q.do("keep = [SharedMemory(create=True, size=8 << 20) for _ in range(2)]")
    p.do("named = SharedMemory('theirs', create=True, size=1 << 20)")
    p.do("left = zct.create_shared_tensor('left', np.zeros(1 << 20, np.uint8))")
    p.do("keep = [SharedMemory(create=True, size=8 << 20) for _ in range(2)]")
    names = q.do("[s.name for s in keep]")
    p.kill()
    q.do("[s.close() for s in keep]")  # closed, its maker lives: not a leftover
    monkeypatch.setenv("ZCT_STORE", store.path)
    code = "big = SharedMemory(create=True, size=40 << 20)"
    r = peer()
    r.do("import zero_copy_tensor_ipc.compat.shared_memory as m; SharedMemory = m.SharedMemory")
    with pytest.raises(Exception, match="StoreFullError"):
        r.do(code)  # they are young: somebody may be about to attach
    r.do("m._ABANDONED = -1")
    r.do(code)
    left = {t.name for t in store.list()}
    assert {"theirs", "left"} <= left and set(names) <= left and len(left) == 5
    q.leave()


def test_a_forked_child_has_it(name, in_child):
    a = ours.SharedMemory(name, create=True, size=10)

    def child():
        a.buf[0] = 3
        b = ours.SharedMemory(name)
        b.buf[1] = 4

    in_child(child)
    assert bytes(a.buf[:2]) == b"\x03\x04"
    finish(a)


def _fill(shm, value):
    shm.buf[0] = value


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_as_an_argument(name, method):
    context = multiprocessing.get_context(method)
    a = ours.SharedMemory(name, create=True, size=10)
    p = context.Process(target=_fill, args=(a, 9))
    p.start()
    p.join(100)
    assert p.exitcode == 0 and a.buf[0] == 9
    finish(a)


# ---- ShareableList ----

ITEMS = ["howdy", b"HoWdY", -273.154, 100, None, True, 42]


@BOTH
def test_list_basics(module):
    a = module.ShareableList(ITEMS)
    assert list(a) == ITEMS and len(a) == 7 and [type(x) for x in a] == [type(x) for x in ITEMS]
    assert a.format == "8s8sdqxxxxxx?xxxxxxxx?q"
    assert a[-1] == 42 and a[-7] == "howdy"
    for wrong in (7, -8) if module is ours else (7,):  # there, -8 is what lies before the list
        with pytest.raises(IndexError):
            a[wrong]
        with pytest.raises(IndexError):
            a[wrong] = 1
    assert a.count(42) == 1 and a.count("x") == 0 and a.count(b"HoWdY") == 1
    assert a.index(True) == 5 and a.index("howdy") == 0
    with pytest.raises(ValueError):
        a.index(43)
    assert "howdy" in a and 43 not in a and list(reversed(a)) == ITEMS[::-1]
    assert repr(a) == "ShareableList(%r, name=%r)" % (ITEMS, a.shm.name)
    finish(a.shm)


@BOTH
def test_list_in_place(module):
    a = module.ShareableList(ITEMS)
    b = module.ShareableList(name=a.shm.name)
    a[4] = "some"  # another type
    assert b[4] == "some" and a.format == "8s8sdq8sxxxxxxx?q"
    with pytest.raises(ValueError, match="exceeds available storage"):
        b[4] = "far too many"
    assert a[4] == "some"
    a[0] = "exactly8"  # what rounding gave
    a[1], a[2], a[3], a[5], a[6] = b"", 5, 2.5, "no", None
    assert list(b) == ["exactly8", b"", 5, 2.5, "some", "no", None]
    a[0] = 17
    a[0] = "back"
    assert b[0] == "back"
    b.shm.close()
    finish(a.shm)


@BOTH
def test_list_from_a_list(module, name):
    a = module.ShareableList(ITEMS)
    b = module.ShareableList(a, name=name)
    assert b.shm.name == name != a.shm.name and list(b) == list(a)
    b[-1] = 77
    assert a[-1] == 42 and b[-1] == 77
    with pytest.raises(FileExistsError):
        module.ShareableList([1], name=name)
    finish(a.shm)
    finish(b.shm)


@BOTH
def test_empty_list(module):
    a = module.ShareableList()
    assert len(a) == 0 and a.format == "" and list(a) == [] and a.count(1) == 0
    with pytest.raises(ValueError):
        a.index(None)
    with pytest.raises(IndexError):
        a[0]
    b = module.ShareableList(name=a.shm.name)
    assert len(b) == 0
    b.shm.close()
    finish(a.shm)


def test_numbers():
    module = ours  # the standard library writes 0 before it finds that a number is too large
    items = [2**63 - 1, -(2**63), 0, 0.0, -0.0, float("inf"), float("-inf"), 5e-324, False, True]
    a = module.ShareableList(items)
    assert list(a) == items and struct.pack("d", a[4]) == struct.pack("d", -0.0)
    with pytest.raises(struct.error):
        a[0] = 2**63
    assert a[0] == 2**63 - 1
    finish(a.shm)


def test_text():
    module = ours  # the standard library reserves bytes by the number of characters
    items = ["", "\u00e9\u00e8", "\U0001f600" * 5, "x" * 1000, b"", b"y" * 8, b"\xff\x00\xfe"]
    a = module.ShareableList(items)
    assert list(a) == items
    finish(a.shm)


def test_nuls_at_the_end_stay():
    items = ["a\0", b"\0\0", b"12345678\0", "\0"]
    a = ours.ShareableList(items)
    assert list(a) == items
    a[1] = b"\0"
    assert a[1] == b"\0"
    finish(a.shm)


@BOTH
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_list_pickling(module, protocol):
    a = module.ShareableList(range(10))
    dumped = pickle.dumps(a, protocol)
    b = pickle.loads(dumped)
    b[0] = 55
    assert a[0] == 55 and b.shm.name == a.shm.name and len(dumped) < 200
    b.shm.close()
    finish(a.shm)
    with pytest.raises(FileNotFoundError):
        pickle.loads(dumped)


def test_what_a_list_does_not_hold():
    with pytest.raises(TypeError, match="list"):
        ours.ShareableList([1, [2]])
    a = ours.ShareableList([1])
    with pytest.raises(TypeError):
        a[0] = np.float64(3)
    with pytest.raises(TypeError):
        a["0"]
    with pytest.raises(TypeError):
        a[0:1]
    a.shm.close()
    with pytest.raises(ValueError, match="closed"):
        a[0]
    a.shm.unlink()


@pytest.mark.parametrize(
    "words", [[], [1], [-1, 0], [2**40, 0], [2**62, 0], [1, 0, 2**40, 0], [3, 0, 8, 16]]
)
def test_a_segment_that_is_no_list(name, words):
    data = struct.pack("%dq" % len(words), *words) or b"x"
    a = ours.SharedMemory(name, create=True, size=len(data))
    a.buf[:] = data
    with pytest.raises(ValueError, match="no ShareableList"):
        ours.ShareableList(name=name)
    finish(a)


def test_a_list_that_is_damaged_later():
    a = ours.ShareableList(["abc", 1])
    good = bytes(a.shm.buf)
    for at in range(0, len(good), 4):
        for value in (0xFF, 0x7F):
            a.shm.buf[at : at + 4] = bytes([value] * 4)
            for act in (lambda: list(a), lambda: a[0], lambda: a.format, lambda: a.__setitem__(0, "abc")):
                if a._word(0) < 1000:
                    try:
                        act()
                    except (ValueError, IndexError, struct.error):  # UnicodeDecodeError is one of them
                        pass
            a.shm.buf[:] = good
    assert list(a) == ["abc", 1]
    finish(a.shm)


@pytest.mark.skipif(sys.version_info < (3, 9), reason="since Python 3.9")
def test_generic():
    assert ours.ShareableList[int].__origin__ is ours.ShareableList


def test_the_module():
    assert sorted(ours.__all__) == ["ShareableList", "SharedMemory", "SharedMemoryManager"]
    assert ours.ShareableList is _shareable_list.ShareableList
    with pytest.raises(AttributeError):
        ours.nothing
