"""numpy_allocator: NumPy's arrays made in the store, of all kinds and sizes, published without a copy."""

import numpy as np
import pytest
from allocating import LARGE, in_store

import zero_copy_tensor_ipc as zct


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


def test_not_entered_twice(store):
    a = zct.numpy_allocator(store)
    with a:
        with pytest.raises(RuntimeError):
            a.__enter__()
    with a:
        x = np.ones(10000)
    assert np.shares_memory(store.create("x", x), x)


def test_resize_and_realloc(store, allocator):
    a = np.arange(20000.0)
    for n in (30000, 100000, 10, 50000):
        a.resize(n, refcheck=False)
        assert a[:10].tolist() == list(range(10))
    grown = np.array([], float)
    grown.resize(40000, refcheck=False)
    grown[:] = 1
    assert grown.sum() == 40000


def test_temporaries_do_not_grow_the_store(store, allocator):
    for _ in range(300):
        x = np.ones(200000)
        x = x * 2 + x
    assert x[0] == 3 and store.stats().high < 48 << 20


def test_temporaries_larger_than_the_stock(store, allocator):
    for i in range(30):
        x = np.full(20 << 20, i, "u1")
        assert x[-1] == i and in_store(store, x)
    assert store.stats().high <= 48 << 20


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
