"""Lifetimes: names end as they were told to, bytes when the last array over them is gone."""

import gc
import time

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def names(store):
    return sorted(r.name for r in store.list())


def test_persistent_and_pinned_stay(store, peer):
    p = peer()
    p.do("a = zct.create_shared_tensor('a', np.ones(3)); b = zct.create_shared_tensor('b', np.ones(3), lifetime='pinned')")
    p.kill()
    store.gc()
    assert names(store) == ["a", "b"]
    store.create("a", np.zeros(3))
    with pytest.raises(zct.TensorExistsError, match="pinned"):
        store.create("b", np.zeros(3))
    assert store.create("b", np.zeros(3), exists="replace").generation == 2


def test_owner_ends_with_its_process(store, peer):
    for end in ("kill", "leave"):
        p = peer()
        p.do("t = zct.create_shared_tensor('x', np.full(5, 3.0), lifetime='owner')")
        w = store.attach("x")
        assert w.sum() == 15
        getattr(p, end)()
        store.gc()
        assert names(store) == [] and w.sum() == 15


def test_owner_keeps_it_without_an_array(store, peer):
    p = peer()
    p.do("zct.create_shared_tensor('x', np.ones(3), lifetime='owner'); None")
    assert store.attach("x").sum() == 3
    p.kill()
    store.gc()
    with pytest.raises(zct.TensorNotFoundError):
        store.attach("x")


def test_last_ends_with_the_last_holder(store, peer):
    t = store.create("x", np.ones(3), lifetime="last")
    p = peer()
    p.do("w = zct.attach_shared_tensor('x')")
    del t
    assert names(store) == ["x"]
    p.do("del w")
    store.gc()
    assert names(store) == []
    p.do("w = zct.create_shared_tensor('y', np.ones(3), lifetime='last')")
    p.kill()
    store.gc()
    assert names(store) == []


def test_views_outlive_everything(directory):
    s = zct.Store("v", directory=directory, capacity=16 << 20)
    t = s.create("x", np.arange(1000.0))
    views = {
        "slice": t[10:20],
        "array": t.array[10:20],
        "memory": memoryview(t)[10:20],
        "frombuffer": np.frombuffer(t, np.float64)[10:20],
        "field": t.reshape(10, 100)[0, 10:20],
        "plain": np.asarray(t)[10:20],
    }

    def generator(a):
        for x in a:
            yield x

    g = generator(t)
    assert next(g) == 0
    t.unlink()
    t.close()
    del t
    s.close()
    zct.Store.destroy("v", directory=directory)
    with zct.Store("v", directory=directory, capacity=16 << 20) as other:
        for _ in range(20):
            other.create("y", np.full(1000, -1.0), exists="replace")
        gc.collect()
        for name, view in views.items():
            assert list(view) == list(range(10, 20)), name
        assert next(g) == 1


def test_memory_comes_back(store):
    def used():
        store.gc()
        return store.stats().used

    before = used()
    t = store.create("x", np.zeros(1 << 20, np.uint8))
    view = t[5:]
    assert used() > before
    t.unlink()
    del t
    assert used() > before  # the view holds it
    del view
    assert used() == before


def test_reference_cycle(store):
    class Node:
        pass

    n = Node()
    n.me, n.tensor = n, store.create("x", np.zeros(3), lifetime="last")
    del n
    gc.collect()
    assert names(store) == []


def test_base_keeps_the_hold_not_the_name(store):
    base = store.create("x", np.arange(3)).base
    assert store.list()[0].holders == 1
    assert np.frombuffer(base, np.int64).tolist() == [0, 1, 2]
    del base
    assert store.list()[0].holders == 0


def test_weak_references(store):
    import weakref

    t = store.create("x", np.zeros(3))
    gone = []
    r = weakref.ref(t, gone.append)
    assert r() is t
    del t
    assert gone == [r]


def test_creator_killed_while_others_read(store, peer):
    p = peer()
    p.do("t = zct.create_shared_tensor('x', np.full(100000, 4.0))")
    w = store.attach("x")
    p.kill()
    store.gc()
    assert (w == 4).all() and w.holders == 1
    store.unlink("x")
    assert (w == 4).all()


def test_killed_in_the_middle_of_work_leaves_a_sound_store(store, peer):
    for i in range(5):
        p = peer()
        p.start(
            """
            i = 0
            while True:
                i += 1
                t = zct.create_shared_tensor("w%d" % (i % 7), np.full(1000 + i, i), exists="replace")
                u = zct.attach_shared_tensor("w%d" % (i % 5)) if i > 10 else t
                if i % 3 == 0:
                    zct.unlink_shared_tensor("w%d" % (i % 7), missing_ok=True)
            """
        )
        while not store.list():
            time.sleep(0.01)
        time.sleep(0.05 * i)
        p.kill()
        store.gc()
        assert store.check() == []
        for record in store.list():
            t = store.attach(record.name)
            assert t.min() == t.max()
            assert record.holders <= 1
            del t
    store.gc(unheld=True)
    assert names(store) == [] and store.stats().members == 1


def test_gc_of_what_nobody_holds(store):
    t = store.create("held", np.zeros(3))
    store.create("left", np.zeros(3))
    store.create("pinned", np.zeros(3), lifetime="pinned")
    assert store.gc(unheld=True, older_than=3600).tensors == 0
    assert store.gc(unheld=True).tensors == 1
    assert names(store) == ["held", "pinned"] and t.sum() == 0
