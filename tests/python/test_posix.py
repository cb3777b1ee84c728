"""Segments of other programs, and where our tensors lie for them."""

import gc
import mmap
import os
import subprocess
import sys
from multiprocessing import shared_memory

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


@pytest.fixture
def theirs():
    """A segment of the standard library, 10,000 bytes, byte i is i mod 251."""
    shm = shared_memory.SharedMemory(create=True, size=10000)
    shm.buf[:10000] = bytes(i % 251 for i in range(10000))
    yield shm
    shm.close()
    try:
        shm.unlink()
    except FileNotFoundError:
        pass


def mapped(name):
    with open("/proc/self/maps") as maps:
        return sum(name in line for line in maps)


# ---- attach_posix ----


@pytest.mark.parametrize("slash", ["", "/"])
def test_their_bytes(theirs, slash):
    a = zct.attach_posix(slash + theirs.name, 10000, np.uint8)
    assert type(a) is np.ndarray and a.flags.writeable and a.flags.c_contiguous and not a.flags.owndata
    assert a.tobytes() == bytes(theirs.buf[:10000])
    a[5] = 99
    assert theirs.buf[5] == 99


@pytest.mark.parametrize("offset", [0, 1, 8, 4095, 4096, 4097, 9992])
def test_any_offset(theirs, offset):
    a = zct.attach_posix(theirs.name, (), ">i8", offset=offset)
    assert a.tobytes() == bytes(theirs.buf[offset : offset + 8])
    assert a.flags.aligned == (offset % 8 == 0)
    a[()] = -2
    assert bytes(theirs.buf[offset : offset + 8]) == b"\xff" * 7 + b"\xfe"


@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "<f4", ">c16", "M8[25s]", "S3", "U2", "V5", [("a", "u1"), ("b", "<f8", (2,))], (np.int16, (2,))],
)
def test_any_dtype(theirs, dtype):
    a = zct.attach_posix(theirs.name, (3, 4), dtype)
    b = np.ndarray((3, 4), dtype, buffer=bytes(theirs.buf[:10000]))
    assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_modes(theirs):
    r = zct.attach_posix(theirs.name, 100, np.uint8, mode="r")
    c = zct.attach_posix(theirs.name, 100, np.uint8, mode="c")
    assert not r.flags.writeable
    for array in (r, r[1:], r.view("i4"), np.asarray(r)):
        with pytest.raises(ValueError):
            array.flags.writeable = True
    assert memoryview(r).readonly
    theirs.buf[1] = 50
    assert r[1] == c[1] == 50
    c[1] = 60
    assert theirs.buf[1] == r[1] == 50 and c[1] == 60


def test_the_mapping_lasts_as_long_as_the_last_view(theirs):
    name = theirs.name
    a = zct.attach_posix(name, 10000, np.uint8)
    view, memory = a[10:20], memoryview(a)
    from_buffer = np.frombuffer(a, np.uint8)
    theirs.unlink()
    theirs.close()
    del a
    gc.collect()
    assert view[0] == 10 and memory[11] == 11 and from_buffer[12] == 12
    del view, memory
    gc.collect()
    assert from_buffer[12] == 12 and mapped(name) == 1
    del from_buffer
    gc.collect()
    assert mapped(name) == 0


def test_no_tracker_takes_it_away(theirs, python):
    """Another program that attaches and ends leaves the segment where it is, and starts no tracker."""
    code = """
        import os, sys
        import zero_copy_tensor_ipc as zct
        a = zct.attach_posix(sys.argv[1], (3,), "u1")
        a[0] = 123
        assert "multiprocessing.resource_tracker" not in sys.modules
    """
    python(code, theirs.name)
    assert theirs.buf[0] == 123
    assert os.path.exists("/dev/shm/" + theirs.name)


def test_it_is_inherited_by_fork(theirs, in_child):
    a = zct.attach_posix(theirs.name, 10, np.uint8)

    def child():
        a[0] = 77

    in_child(child)
    assert theirs.buf[0] == 77


def test_too_short(theirs):
    for shape, dtype, offset in [(10001, "u1", 0), (1, "f8", 9993), ((), "u1", 10000), (0, "u1", 10001), (1, "u1", 2**63)]:
        with pytest.raises(ValueError) as e:
            zct.attach_posix(theirs.name, shape, dtype, offset=offset)
        nbytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        assert "10000 bytes" in str(e.value) and " %d " % nbytes in str(e.value) and str(offset) in str(e.value)
    assert zct.attach_posix(theirs.name, 0, "f8", offset=10000).shape == (0,)


@pytest.mark.parametrize("shape", [(2**40, 2**40), 2**62, (2**31, 2**31, 2)])
def test_larger_than_memory(theirs, shape):
    with pytest.raises(ValueError):
        zct.attach_posix(theirs.name, shape, "f8")


def test_not_there():
    with pytest.raises(FileNotFoundError) as e:
        zct.attach_posix("zct-nobody-made-this", 1, "u1")
    assert e.value.filename == "zct-nobody-made-this" and "zct-nobody-made-this" in str(e.value)


@pytest.mark.parametrize("name", ["", "/", "a/b", "../shm/x", "..", "a\0b", "x" * 256])
def test_names_that_cannot_be(name):
    with pytest.raises(ValueError):
        zct.attach_posix(name, 1, "u1")


def test_bad_arguments(theirs):
    with pytest.raises(TypeError):
        zct.attach_posix(theirs.name, 1, object)
    with pytest.raises(TypeError):
        zct.attach_posix(theirs.name, 1, [("a", "i4"), ("b", "O")])
    if hasattr(np.dtypes if hasattr(np, "dtypes") else None, "StringDType"):
        with pytest.raises(TypeError):
            zct.attach_posix(theirs.name, 1, np.dtypes.StringDType())
    with pytest.raises(TypeError):
        zct.attach_posix(theirs.name, 1)
    with pytest.raises(ValueError):
        zct.attach_posix(theirs.name, -1, "u1")
    with pytest.raises(ValueError):
        zct.attach_posix(theirs.name, 1, "u1", mode="w")
    with pytest.raises(ValueError):
        zct.attach_posix(theirs.name, 1, "u1", offset=-1)
    assert mapped(theirs.name) == 1  # their own


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_segment_that_is_read_only(theirs):
    os.chmod("/dev/shm/" + theirs.name, 0o400)
    with pytest.raises(PermissionError) as e:
        zct.attach_posix(theirs.name, 1, "u1")
    assert "mode 'r'" in str(e.value)
    assert zct.attach_posix(theirs.name, 1, "u1", mode="r")[0] == 0


# ---- posix_location ----

# What another program does, without this package.
READER = """
import mmap, os, sys
path, offset, nbytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = offset // mmap.PAGESIZE * mmap.PAGESIZE
with open(path, "r+b") as f:
    m = mmap.mmap(f.fileno(), offset - start + nbytes, offset=start)
sys.stdout.buffer.write(m[offset - start:])
m[offset - start] ^= 0xff
"""


def read_elsewhere(location):
    command = [sys.executable, "-S", "-c", READER] + [str(x) for x in location]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout


@pytest.mark.parametrize("n", [1, 100, 4096, 5000, 100000])
def test_another_program_maps_it(store, n):
    t = store.create("x", np.arange(n, dtype=np.uint32).view(np.uint8)[:n])
    where = t.posix_location()
    assert isinstance(where, zct.PosixLocation) and where == (where.path, where.offset, where.nbytes)
    assert where.path == store.path and where.nbytes == n
    assert n < mmap.PAGESIZE or where.offset % mmap.PAGESIZE == 0
    before = t.tobytes()
    assert read_elsewhere(where) == before
    assert t[0] == before[0] ^ 0xFF


def test_it_stays_there_while_held(store):
    t = store.create("x", np.full(5000, 3, np.uint8))
    where = t.posix_location()
    store.unlink("x")
    others = [store.create("o%d" % i, np.full(5000, 9, np.uint8)) for i in range(20)]
    assert t.posix_location() == where and read_elsewhere(where) == b"\x03" * 5000
    store.create("y", np.zeros(3), exists="replace")
    assert t[1] == 3 and len(others) == 20


def test_views(store):
    t = store.create("x", np.arange(24, dtype=np.uint8).reshape(4, 6))
    at = t.posix_location().offset
    cases = {"t[1]": (6, 6), "t[::-1]": (0, 24), "t[1:3, 2:4]": (8, 8), "t.T[2]": (2, 19), "t[3, 5:]": (23, 1)}
    for code, (offset, nbytes) in cases.items():
        where = eval(code).posix_location()
        assert (where.offset - at, where.nbytes) == (offset, nbytes), code
    assert t[2:2].posix_location().nbytes == 0
    for mode in ("r", "c"):
        assert store.attach("x", mode=mode).posix_location() == t.posix_location()


def test_no_location(store, directory):
    t = store.create("x", np.zeros(10))
    with pytest.raises(ValueError):
        np.zeros(3).view(zct.SharedTensor).posix_location()
    zct.Store.destroy("t", directory=directory)
    with pytest.raises(zct.StoreGoneError):
        t.posix_location()
    t.close()
    with pytest.raises(zct.ClosedError):
        t.posix_location()
