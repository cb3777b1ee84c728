"""Versioned: writers make the next one beside those that are read."""

import threading

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_versions_follow_each_other(store):
    v = zct.Versioned("pose", store=store)
    assert v.version == 0
    with pytest.raises(zct.TensorNotFoundError):
        v.latest()
    with pytest.raises(zct.TensorNotFoundError):
        with v.write():
            pass
    assert v.put(np.arange(3.0)) == 1
    first = v.latest()
    assert first.tolist() == [0, 1, 2] and first.generation == v.version == 1
    with pytest.raises(ValueError):
        first[0] = 1
    with v.write() as w:
        assert w.shape == (3,) and w.dtype == float and w.name is None
        w[:] = 7
        assert v.latest().tolist() == [0, 1, 2]
    assert v.latest().tolist() == [7, 7, 7] and first.tolist() == [0, 1, 2]
    with v.write((2, 2), np.int16) as w:
        w[:] = 1
    assert v.latest().shape == (2, 2) and v.version == 3
    with v.write(5) as w:
        w[:] = 2
    assert v.latest().dtype == np.int16 and v.latest().shape == (5,)
    v.unlink()
    v.unlink()
    assert v.version == 0
    with pytest.raises(zct.TensorNotFoundError):
        v.unlink(missing_ok=False)
    assert "pose" in repr(v)


def test_a_block_that_raises_publishes_nothing(store):
    v = zct.Versioned("x", store=store)
    v.put([1])
    with pytest.raises(KeyError):
        with v.write() as w:
            w[:] = 2
            raise KeyError
    del w
    assert v.latest().tolist() == [1] and v.version == 1 and store.stats().nameless == 0


def test_nothing_is_copied_and_memory_is_used_again(store):
    v = zct.Versioned("x", store=store)
    for i in range(50):  # the store has room for ten of them
        with v.write(1 << 20) as w:
            w[0] = i
        if i % 10 == 0:
            assert v.latest().posix_location() == w.posix_location()
        del w
    assert v.version == 50 and v.latest()[0] == 49


def test_a_writer_that_is_killed_changes_nothing(store, peer):
    v = zct.Versioned("x", store=store)
    v.put(np.zeros(100000))
    for _ in range(3):
        p = peer()
        p.do("v = zct.Versioned('x')")
        p.do("c = v.write(); w = c.__enter__(); w[:50000] = 1")
        p.kill()
        assert not v.latest().any()
    store.gc()
    assert store.stats().nameless == 0 and v.version == 1


def test_readers_never_see_a_torn_one(store, peer):
    v = zct.Versioned("x", store=store)
    v.put(np.zeros(20000))
    p = peer()
    p.do("v = zct.Versioned('x')")
    p.start(
        """
        for i in range(300):
            with v.write() as w:
                w[:] = i
        """
    )
    last, seen = 0, 0
    while last < 301:
        newest = v.latest()
        assert newest.generation >= last and (newest == newest[0]).all()
        last, seen = newest.generation, seen + 1
    p.finish()
    assert seen > 0


def test_wait(store, peer):
    v = zct.Versioned("x", store=store)
    p = peer()
    p.do("v = zct.Versioned('x')")
    p.start("v.wait(0).tolist()")
    v.put([1, 2])
    assert p.finish() == [1, 2]
    p.start("v.wait(2).tolist()")
    v.put([3])
    v.put([4])
    assert p.finish() == [4]
    with pytest.raises(TimeoutError):
        v.wait(3, timeout=0.01)
    with pytest.raises(TimeoutError):
        v.wait(3, timeout=0)
    with pytest.raises(TimeoutError):
        zct.Versioned("never", store=store).wait(0, timeout=0.01)
    assert v.wait(1, timeout=0).tolist() == [4]


def test_wait_while_it_is_unlinked(store):
    v = zct.Versioned("x", store=store)
    v.put([1])
    got = []
    thread = threading.Thread(target=lambda: got.append(v.wait(1).tolist()))
    thread.start()
    v.unlink()
    v.put([2])
    v.put([3])
    thread.join(60)
    assert got == [[3]]
