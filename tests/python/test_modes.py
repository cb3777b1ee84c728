"""Modes and seals: what is read-only stays so, and what is private stays private."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_default_is_writable(store):
    store.create("x", np.zeros(3), lifetime="pinned")
    for mode in (None, "r+"):
        t = store.attach("x", mode=mode)
        assert t.flags.writeable and t.mode == "r+"


def ways_to_write(t):
    yield lambda: t.__setitem__(0, 1)
    yield lambda: t.setflags(write=True)
    yield lambda: setattr(t.flags, "writeable", True)
    yield lambda: t[1:].setflags(write=True)
    yield lambda: t.view(np.ndarray).setflags(write=True)
    yield lambda: np.asarray(t).setflags(write=True)
    yield lambda: t.array.setflags(write=True)
    yield lambda: t.reshape(-1).setflags(write=True)
    yield lambda: t.T.setflags(write=True)
    yield lambda: np.frombuffer(t, t.dtype).setflags(write=True)
    yield lambda: np.lib.stride_tricks.as_strided(t, (2,), (8,)).setflags(write=True)
    yield lambda: np.add(t, 1, out=t)
    yield lambda: np.copyto(t, 1)
    yield lambda: t.fill(1)
    yield lambda: memoryview(t).cast("B").__setitem__(0, 1)
    yield lambda: np.asarray(memoryview(t)).setflags(write=True)
    yield lambda: t.base.__buffer__(1) if hasattr(t.base, "__buffer__") else np.frombuffer(t.base).setflags(write=True)


def test_read_only_cannot_be_made_writable(store):
    data = store.create("x", np.arange(5.0))
    t = store.attach("x", mode="r")
    assert not t.flags.writeable and t.mode == "r"
    for i, way in enumerate(ways_to_write(t)):
        with pytest.raises((ValueError, TypeError, BufferError)):
            way()
            pytest.fail("way %d" % i)
    assert t.tolist() == [0, 1, 2, 3, 4]
    data[0] = 7
    assert t[0] == 7


def test_read_only_for_the_hardware(store, python):
    store.create("x", np.arange(5.0), lifetime="pinned")
    python(
        """
        import ctypes, os, signal, sys
        import zero_copy_tensor_ipc as zct
        t = zct.attach_shared_tensor("x", mode="r", store="t")
        pid = os.fork()
        if pid == 0:
            import faulthandler
            faulthandler.disable()
            ctypes.memset(t.ctypes.data, 1, 8)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] & 0x7F == signal.SIGSEGV
        assert t[0] == 0
        """
    )


def test_copy_on_write(store, peer):
    data = store.create("x", np.zeros(4 * 4096, np.uint8))
    c = store.attach("x", mode="c")
    assert c.mode == "c" and c.flags.writeable and not np.shares_memory(c, data)
    c[0] = 1
    assert data[0] == 0 and store.attach("x")[0] == 0
    data[8192] = 5
    assert c[8192] == 5  # a page not written yet follows the writer
    data[1] = 9
    assert c[1] == 0 and c[0] == 1
    p = peer()
    p.do("c = zct.attach_shared_tensor('x', mode='c'); c[:] = 3")
    assert data[0] == 0 and c[0] == 1


def test_copy_on_write_outlives_unlink_and_replace(store):
    store.create("x", np.full(10000, 2.0))
    c = store.attach("x", mode="c")
    c[0] = 1
    store.unlink("x")
    store.create("x", np.zeros(10000))
    store.trim()
    assert c[0] == 1 and (c[1:] == 2).all()


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
