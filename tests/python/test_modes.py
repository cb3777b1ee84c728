"""Modes and seals; what they promise is in test_read_only.py and test_copy_on_write.py."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_default_is_writable(store):
    store.create("x", np.zeros(3), lifetime="pinned")
    for mode in (None, "r+"):
        t = store.attach("x", mode=mode)
        assert t.flags.writeable and t.mode == "r+"


def test_seal_at_birth(store, peer):
    t = store.create("x", np.arange(3), seal=True)
    assert t.sealed and t.mode == "r" and not t.flags.writeable
    with pytest.raises(PermissionError, match="seal"):
        store.attach("x", mode="r+")
    w = store.attach("x")
    assert w.mode == "r" and w.sealed and store.list()[0].sealed
    p = peer()
    assert p.do("zct.attach_shared_tensor('x').flags.writeable") is False
    c = store.attach("x", mode="c")
    c[0] = 9
    assert t[0] == 0


def test_seal_later(store, peer):
    t = store.create("x", np.arange(3))
    p = peer()
    p.do("w = zct.attach_shared_tensor('x', mode='r')")
    with pytest.raises(zct.StoreBusyError) as e:
        t.seal()
    assert e.value.errno == 16 and not t.sealed
    p.do("del w")
    t.seal()
    assert t.sealed
    t[0] = 5  # older arrays of this process stay writable
    assert store.attach("x")[0] == 5 and not store.attach("x").flags.writeable


def test_sealed_can_be_replaced(store):
    store.create("x", np.arange(3), seal=True)
    assert store.create("x", np.arange(4)).flags.writeable


def test_sealed_copies_from_everything(store):
    assert not zct.create_shared_tensor("a", zct.ones(3, store=store), store=store, seal=True).flags.writeable
    assert not store.create("b", [1, 2], dtype="f4", seal=True).flags.writeable
