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
