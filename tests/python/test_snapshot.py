"""t.snapshot(): copies that no writer under the lock leaves torn. The protocol itself is tested in C."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_copy(store, order):
    data = np.arange(24.0).reshape(2, 3, 4)
    t = store.create("x", data, order=order)
    copy = t.snapshot()
    assert type(copy) is np.ndarray and (copy == data).all() and copy.strides == t.strides
    t[:] = 0
    assert (copy == data).all()
    assert t.snapshot(copy) is copy and not copy.any()
    assert t.snapshot(out=copy, timeout=0) is copy
    assert store.attach("x", mode="r").snapshot().sum() == 0


@pytest.mark.parametrize("data", [np.array(3.5), np.zeros((0, 4)), np.zeros(3, "M8[ms]"), np.zeros(2, "S5")])
def test_any_shape_and_dtype(store, data):
    copy = store.create("x", data).snapshot()
    assert copy.shape == data.shape and copy.dtype == data.dtype and (copy == data).all()


def test_large(store):
    t = store.create("x", np.arange(1 << 20))
    assert (t.snapshot() == t).all()


def test_refused(store):
    t = store.create("x", np.zeros((3, 4)))
    for out in (np.zeros((4, 3)), np.zeros((3, 4), "f4"), np.zeros((3, 4), order="F"), np.zeros((3, 8))[:, ::2]):
        with pytest.raises(ValueError, match="layout"):
            t.snapshot(out)
    frozen = np.zeros((3, 4))
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        t.snapshot(frozen)
    with pytest.raises(TypeError, match="list"):
        t.snapshot([1])
    for part in (t[1:], t.T, t[0]):
        with pytest.raises(ValueError, match="part"):
            part.snapshot()
    with pytest.raises(ValueError):
        t.snapshot(timeout=-1)
    t.close()
    with pytest.raises(zct.ClosedError):
        t.snapshot()
