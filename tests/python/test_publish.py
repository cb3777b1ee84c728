"""Copy or publish: what is the whole of an unnamed block gets the name where it lies."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


@pytest.mark.parametrize("n", [0, 1, 100, 10000, 1000000])
def test_what_empty_made_is_published(store, peer, n):
    e = zct.zeros(n, store=store)
    e[:] = 3
    t = store.create("x", e)
    assert t.name == e.name == "x" and t.generation == 1
    if n:
        assert np.shares_memory(e, t)
        e[0] = 4
        assert peer().do("float(zct.attach_shared_tensor('x')[0])") == 4


def test_copy_arguments(store):
    e = zct.ones(1000, store=store)
    assert not np.shares_memory(store.create("c", e, copy=True), e)
    assert e.name is None
    t = store.create("p", e, copy=False)
    assert np.shares_memory(t, e)
    with pytest.raises(BufferError, match="'q'"):
        store.create("q", e, copy=False)  # it has a name now
    for data in (np.ones(3), [1, 2], zct.ones(5, store=store)[1:], zct.ones((2, 2), store=store).T[:1]):
        with pytest.raises(BufferError):
            store.create("q", data, copy=False)
    f = zct.ones((3, 4), store=store)
    for arguments in ({"dtype": "f4"}, {"order": "F"}):
        with pytest.raises(BufferError):
            store.create("q", f, copy=False, **arguments)
    assert sorted(r.name for r in store.list()) == ["c", "p"]


def test_plain_view_of_the_whole_is_the_whole(store):
    e = zct.ones((3, 4), store=store)
    assert np.shares_memory(store.create("x", e.array, copy=False), e)


def test_named_partial_unlinked_and_private_are_copied(store):
    e = zct.ones(1000, store=store)
    assert not np.shares_memory(store.create("part", e[:500]), e)
    t = store.create("x", e)
    assert np.shares_memory(t, e)
    assert not np.shares_memory(store.create("y", e), e)
    store.unlink("x")
    assert not np.shares_memory(store.create("z", e), e)
    c = store.attach("y", mode="c")
    c[:] = 7
    assert store.create("private", c).tolist() == [7] * 1000


def test_of_another_store_is_copied(store, directory):
    with zct.Store("other", directory=directory, capacity=1 << 20) as other:
        e = zct.ones(10, store=other)
        assert not np.shares_memory(store.create("x", e), e)


def test_published_over_a_taken_name(store, peer):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.zeros(3))")
    e = zct.ones(3, store=store)
    with pytest.raises(zct.TensorExistsError):
        store.create("x", e)
    assert e.name is None
    t = store.create("x", e, exists="replace")
    assert np.shares_memory(t, e) and t.generation == 2 and p.do("t.sum()") == 0


def test_with_over_a_published_one(store):
    e = zct.ones(3, store=store)
    with store.create("x", e) as t:
        assert len(store.list()) == 1
    assert store.list() == [] and t.closed and not e.closed and e.sum() == 3


def test_fortran_order(store):
    e = zct.empty((3, 4), order="F", store=store)
    t = store.create("x", e)
    assert np.shares_memory(t, e) and t.flags.f_contiguous


# ---- NumPy's allocator -------------------------------------------------------------------------------------


@pytest.fixture
def allocator(store):
    with zct.numpy_allocator(store):
        yield


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


def test_only_inside_and_nested(store, directory):
    before = np.ones(10000)
    with zct.Store("inner", directory=directory, capacity=16 << 20) as inner:
        with zct.numpy_allocator(store):
            outer = np.ones(10000)
            with zct.numpy_allocator(inner):
                nested = np.ones(10000)
            outer2 = np.ones(10000)
        after = np.ones(10000)
        assert np.shares_memory(store.create("a", outer), outer)
        assert np.shares_memory(store.create("b", outer2), outer2)
        assert np.shares_memory(inner.create("c", nested), nested)
        for i, a in enumerate((before, after, nested)):
            assert not np.shares_memory(store.create("d%d" % i, a), a)
    assert nested.sum() == 10000


def test_not_entered_twice(store):
    a = zct.numpy_allocator(store)
    with a:
        with pytest.raises(RuntimeError):
            a.__enter__()
    with a:
        x = np.ones(10000)
    assert np.shares_memory(store.create("x", x), x)


def test_of_this_thread_alone(store):
    import threading

    made = []
    with zct.numpy_allocator(store):
        thread = threading.Thread(target=lambda: made.append(np.ones(10000)))
        thread.start()
        thread.join()
    assert not np.shares_memory(store.create("x", made[0]), made[0])


def test_resize_and_realloc(store, allocator):
    a = np.arange(20000.0)
    for n in (30000, 100000, 10, 50000):
        a.resize(n, refcheck=False)
        assert a[:10].tolist() == list(range(10))
    grown = np.array([], float)
    grown.resize(40000, refcheck=False)
    grown[:] = 1
    assert grown.sum() == 40000


def test_where_the_store_is_full_it_is_malloc(directory):
    with zct.Store("small", directory=directory, capacity=4 << 20) as s:
        with zct.numpy_allocator(s):
            arrays = [np.full(1 << 17, i, np.float64) for i in range(12)]
        assert all((a == i).all() for i, a in enumerate(arrays))
        inside = 0
        for i, a in enumerate(arrays):
            try:
                assert np.shares_memory(s.create("x%d" % i, a, copy=False), a)
                inside += 1
            except BufferError:
                pass
        assert 0 < inside < len(arrays)


def test_temporaries_do_not_grow_the_store(store, allocator):
    for _ in range(300):
        x = np.ones(200000)
        x = x * 2 + x
    assert x[0] == 3 and store.stats().high < 48 << 20


def test_environment(python):
    code = """
        import numpy as np, zero_copy_tensor_ipc as zct
        data = np.random.randn(300, 300).astype(np.float32)
        t = zct.create_shared_tensor("x", data)
        assert np.shares_memory(data, zct.attach_shared_tensor("x")) is %s
        t.unlink()
    """
    python(code % True, env={"ZCT_NUMPY_ALLOCATOR": "1"})
    python(code % False, env={"ZCT_NUMPY_ALLOCATOR": "0"})


def test_environment_joins_at_first_use(python, directory):
    import os

    python("import numpy as np, zero_copy_tensor_ipc\nnp.ones(100)\n", env={"ZCT_NUMPY_ALLOCATOR": "1"})
    assert os.listdir(directory) == []


def test_environment_without_a_store_is_malloc(python):
    out = python(
        """
        import numpy as np, zero_copy_tensor_ipc as zct, logging
        logging.basicConfig(format="%(message)s", stream=__import__("sys").stdout)
        a = [np.ones(100000) for _ in range(3)]
        assert sum(x.sum() for x in a) == 300000
        """,
        env={"ZCT_NUMPY_ALLOCATOR": "1", "ZCT_DIR": "/nonexistent/directory"},
    )
    assert out.count("malloc") == 1
