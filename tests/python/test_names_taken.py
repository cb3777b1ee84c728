"""Names that are taken: living holders, leftovers, generations, who may unlink."""

import logging
import os

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_taken_by_this_process(store):
    t = store.create("x", np.zeros((10, 10), np.float32))
    with pytest.raises(zct.TensorExistsError) as e:
        store.create("x", np.ones(3))
    assert isinstance(e.value, FileExistsError) and e.value.errno == 17
    text = str(e.value)
    assert "'x'" in text and "float32" in text and str(os.getpid()) in text
    assert 'exists="replace"' in text and 'exists="attach"' in text
    assert t.sum() == 0 and store.attach("x").shape == (10, 10)


def test_taken_by_a_view_or_another_process(store, peer):
    t = store.create("x", np.zeros(3))
    view = t[1:]
    del t
    with pytest.raises(zct.TensorExistsError):
        store.create("x", np.ones(3))
    del view
    p = peer()
    p.do("t = zct.attach_shared_tensor('x', mode='r')")
    with pytest.raises(zct.TensorExistsError, match=str(p.pid)):
        store.create("x", np.ones(3))
    with pytest.raises(zct.TensorExistsError):
        zct.ones(3, name="x", store=store)
    with pytest.raises(zct.TensorExistsError):
        store.create("x", np.ones(3), dtype="f4")
    p.do("del t")
    assert store.create("x", np.ones(3)).generation == 2


def test_taken_by_a_handle_in_flight(store):
    t = store.create("x", np.zeros(3))
    h = t.handle
    del t
    with pytest.raises(zct.TensorExistsError):
        store.create("x", np.ones(3))
    del h
    store.create("x", np.ones(3))


def test_leftover_of_the_dead_is_replaced(store, peer, caplog):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.full(1000, 7.0))")
    p.kill()
    with caplog.at_level(logging.INFO, "zero_copy_tensor_ipc"):
        t = store.create("x", np.zeros(3))
    assert t.generation == 2 and t.shape == (3,)
    assert any("x" in r.getMessage() for r in caplog.records)


def test_leftover_of_the_dead_can_be_attached(store, peer):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.full(1000, 7.0))")
    p.kill()
    t = store.attach("x")
    assert t.sum() == 7000 and t.generation == 1


def test_leftover_of_one_that_left_in_order(store, peer):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.full(10, 7.0))")
    assert p.leave() == 0
    assert store.attach("x").sum() == 70
    assert store.create("x", np.zeros(3)).generation == 2


def test_replace(store, peer):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.zeros(4))")
    new = store.create("x", np.ones((2, 2)), exists="replace")
    assert new.generation == 2 and store.attach("x").shape == (2, 2)
    assert p.do("t.sum(), t.generation, t.name") == [0.0, 1, "x"]
    p.do("t[:] = 9")
    assert new.sum() == 4
    assert p.do("zct.attach_shared_tensor('x').tolist()") == [[1, 1], [1, 1]]


def test_attach_where_it_is_there(store, peer):
    first = store.create("x", np.arange(4.0), exists="attach")
    assert first.generation == 1
    second = store.create("x", np.zeros(4), exists="attach")
    assert second.tolist() == [0, 1, 2, 3] and np.shares_memory(first, second)
    assert np.shares_memory(first, zct.zeros(4, name="x", store=store, exists="attach"))
    assert np.shares_memory(first, zct.full(4, 9.0, name="x", store=store, exists="attach"))
    assert np.shares_memory(first, store.create("x", [1, 1, 1, 1], dtype=float, exists="attach"))
    assert np.shares_memory(first, store.create("x", zct.empty(4, store=store), exists="attach"))
    for data in (np.zeros(5), np.zeros(4, np.float32), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="'x'"):
            store.create("x", data, exists="attach")
    with pytest.raises(ValueError, match="'x'"):
        zct.full(5, 1.0, name="x", store=store, exists="attach")


def test_several_start_at_once(store, peer):
    peers = [peer() for _ in range(4)]
    for i, p in enumerate(peers):
        p.start("t = zct.create_shared_tensor('x', np.full(1000, %d.0), exists='attach'); float(t[0])" % i)
    for p in peers:
        p.finish()
    values = {p.do("float(t[0]), float(t.min()), float(t.max()), t.generation").__str__() for p in peers}
    assert len(values) == 1


def test_two_creators_race(store, peer):
    a, b = peer(), peer()
    for round_ in range(10):
        for p in (a, b):
            p.start("t = zct.create_shared_tensor('r%d', np.full(500, os.getpid()))" % round_)
        won = 0
        for p in (a, b):
            try:
                p.finish()
                won += 1
            except Exception as e:
                assert "TensorExistsError" in str(e)
        assert won == 1
        t = store.attach("r%d" % round_)
        assert t.min() == t.max() and t[0] in (a.pid, b.pid)


def test_unlink_by_the_maker_alone(store, peer):
    t = store.create("x", np.zeros(3))
    w = store.attach("x")
    w.unlink()
    assert len(store.list()) == 1
    p = peer()
    p.do("w = zct.attach_shared_tensor('x'); w.unlink()")
    assert len(store.list()) == 1
    t.unlink()
    assert store.list() == []
    t.unlink()
    again = store.create("x", np.ones(3))
    t.unlink()
    assert again.sum() == 3 and len(store.list()) == 1


def test_with_unlinks_what_it_made_and_closes_what_it_attached(store):
    with store.create("x", np.zeros(3)) as t:
        with store.attach("x") as w:
            pass
        assert w.closed and not t.closed and len(store.list()) == 1
    assert t.closed and store.list() == [] and t.sum() == 0


def test_with_leaves_another_generation_alone(store):
    with store.create("x", np.zeros(3)):
        new = store.create("x", np.ones(3), exists="replace")
    assert [r.generation for r in store.list()] == [2] and new.sum() == 3


def test_with_after_exists_attach_only_closes(store):
    t = store.create("x", np.zeros(3))
    with store.create("x", np.zeros(3), exists="attach") as w:
        pass
    assert w.closed and len(store.list()) == 1 and t.sum() == 0


def test_fork_inside_with_unlinks_nothing(store, in_child):
    with store.create("x", np.arange(3)) as t:

        def child():
            t.__exit__(None, None, None)
            assert t.sum() == 3

        in_child(child)
        assert len(store.list()) == 1
    assert store.list() == []


def test_generation_goes_on(store):
    for generation in range(1, 6):
        assert store.create("x", np.zeros(generation)).generation == generation
