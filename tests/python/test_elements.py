"""Atomic operations on single elements."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

DTYPES = ["i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_alone(store, dtype):
    t = store.create("x", np.arange(12, dtype=dtype).reshape(3, 4))
    old = t.fetch_add((1, 2), 3)
    assert old == 6 and type(old) is np.dtype(dtype).type and t[1, 2] == 9
    assert t.exchange((-1, -1), 100) == 11 and t[2, 3] == 100
    assert t.compare_exchange((0, 0), 0, 7) is True and t[0, 0] == 7
    assert t.compare_exchange((0, 0), 0, 8) is False and t[0, 0] == 7
    assert t.sum() == sum(range(12)) + 3 + 89 + 7
    assert t[1].fetch_add(2, 1) == 9  # a view means its own elements
    assert t.T.fetch_add((2, 1), 1) == 10
    assert t[::-1, 1::2].exchange((1, 0), 50) == 5 and t[1, 1] == 50


def test_of_no_dimension(store):
    t = store.create("x", np.array(1.5))
    assert t.fetch_add((), 2) == 1.5 and float(t) == 3.5


def test_other_dtypes_can_be_exchanged(store):
    t = store.create("x", np.array(["2020-01-01", "2021-01-01"], "M8[D]"))
    assert t.exchange(0, np.datetime64("2022-01-01")) == np.datetime64("2020-01-01")
    assert t.compare_exchange(1, np.datetime64("2021-01-01"), np.datetime64("2000-01-01"))
    assert t.tolist() == np.array(["2022-01-01", "2000-01-01"], "M8[D]").tolist()
    swapped = store.create("s", np.array([1, 2], ">i4"))
    assert swapped.exchange(0, 5) == 1 and swapped.tolist() == [5, 2]
    with pytest.raises(ValueError, match="byte order"):
        swapped.fetch_add(0, 1)


def test_refused(store):
    t = store.create("x", np.zeros((3, 4)))
    for index in (3, (0,), (0, 0, 0), ()):
        with pytest.raises(IndexError, match="indices"):
            t.fetch_add(index, 1)
    for index in ((3, 0), (0, -5)):
        with pytest.raises(IndexError, match="out of bounds"):
            t.fetch_add(index, 1)
    for index in ("a", slice(None), None, (1.0, 0)):
        with pytest.raises((IndexError, TypeError)):
            t.fetch_add(index, 1)
    with pytest.raises((ValueError, TypeError)):
        t.fetch_add((0, 0), "no number")
    with pytest.raises(TypeError):
        t.fetch_add((0, 0))
    for mode in ("r", "c"):
        with pytest.raises(PermissionError):
            store.attach("x", mode=mode).fetch_add((0, 0), 1)
    for dtype in ("i2", "c16", "S3", "f2"):
        with pytest.raises(ValueError, match="4 or 8 bytes"):
            store.create("d", np.zeros(3, dtype), exists="replace").fetch_add(0, 1)
    with pytest.raises(ValueError, match="integers and floats"):
        store.create("d", np.zeros(3, "c8"), exists="replace").fetch_add(0, 1)
    with pytest.raises(ValueError, match="another dtype"):
        t.view("i8").fetch_add((0, 0), 1)
    assert not t.any()
    t.close()
    with pytest.raises(zct.ClosedError):
        t.exchange((0, 0), 1)


def test_two_processes_add_up(store, peer):
    t = store.create("x", np.zeros(10, np.float32))
    p = peer()
    p.do("t = zct.attach_shared_tensor('x')")
    p.start("[t.fetch_add(i % 10, 1) for i in range(5000)][-1]")
    for i in range(5000):
        t.fetch_add(i % 10, 1)
    p.finish()
    assert t.tolist() == [1000.0] * 10


def test_adding_arrays(store, peer):
    t = store.create("x", np.zeros((4, 3), np.float32))
    p = peer()
    p.do("t = zct.attach_shared_tensor('x')")
    p.start("[t.atomic_add(np.ones((4, 3), np.float32)) for i in range(500)][-1]")
    for _ in range(500):
        t.atomic_add([1, 2, 3])
    p.finish()
    assert t.tolist() == [[1000.0, 1500.0, 2000.0]] * 4 and t.version == 1000
    t[1].atomic_add(1)  # a part of it
    assert t[1].tolist() == [1001.0, 1501.0, 2001.0] and t[0, 0] == 1000


def test_adding_what_cannot_be_added(store):
    t = store.create("x", np.zeros(3, np.int32))
    with pytest.raises(ValueError):
        t.atomic_add([1, 2])
    with pytest.raises(TypeError):
        t.atomic_add([0.5, 1, 2])  # no integers
    with pytest.raises(PermissionError):
        store.attach("x", mode="r").atomic_add(1)
    with t.write_lock(timeout=0):  # it was given back each time, and nothing was written
        assert not t.any()
    with pytest.raises(RuntimeError):
        with t.write_lock():
            t.atomic_add(1)
    assert not t.any()
