"""Results are plain arrays; views are SharedTensors; nothing claims a name that it does not have."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


@pytest.fixture
def t(store):
    return store.create("x", np.arange(1.0, 13).reshape(3, 4))


@pytest.mark.parametrize(
    "result",
    [
        lambda t: t + 1,
        lambda t: 1 + t,
        lambda t: t + t,
        lambda t: t * np.ones(4),
        lambda t: np.ones(4) * t,
        lambda t: -t,
        lambda t: t > 3,
        lambda t: np.sqrt(t),
        lambda t: np.add(t, 1),
        lambda t: np.modf(t)[0],
        lambda t: t.sum(axis=0),
        lambda t: np.sum(t, axis=1),
        lambda t: t.mean(axis=0),
        lambda t: t.max(axis=1, keepdims=True),
        lambda t: t.cumsum(),
        lambda t: np.add.accumulate(t),
        lambda t: np.add.outer(t, t),
        lambda t: np.add.reduceat(t, [0, 2]),
        lambda t: t @ t.T,
        lambda t: t.copy(),
        lambda t: t.astype(int),
        lambda t: t.astype(float, copy=False),
        lambda t: t.flatten(),
        lambda t: t.take([0, 1]),
        lambda t: np.array(t),
        lambda t: np.asarray(t),
        lambda t: np.ascontiguousarray(t),
        lambda t: t.array,
        lambda t: np.add(t, 1, out=np.zeros((3, 4))),
        lambda t: np.where(t > 3, t, 0),
        lambda t: np.concatenate([t, t]),
        lambda t: np.einsum("ij->j", t),
        lambda t: np.mean(t, axis=0),
        lambda t: np.std(t, axis=0),
    ],
)
def test_plain(t, result):
    r = result(t)
    assert type(r) is np.ndarray


@pytest.mark.parametrize(
    "result",
    [
        lambda t: t.sum(),
        lambda t: np.sum(t),
        lambda t: t.mean(),
        lambda t: t[0, 0],
        lambda t: t.max(),
        lambda t: np.dot(t[0], t[0]),
    ],
)
def test_scalars(t, result):
    assert isinstance(result(t), np.float64)


def test_scalars_of_zero_dimensions(store):
    z = store.create("z", np.float64(3))
    assert isinstance(z + 1, np.float64) and isinstance(z.sum(), np.float64) and float(z) == 3


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t[1:],
        lambda t: t[:, ::2],
        lambda t: t.T,
        lambda t: t.reshape(-1),
        lambda t: t.ravel(),
        lambda t: t.view(),
        lambda t: t.view(np.uint64),
        lambda t: t[0],
        lambda t: t[..., None],
        lambda t: t.swapaxes(0, 1),
        lambda t: t.squeeze(),
        lambda t: np.asanyarray(t),
    ],
)
def test_views(t, view):
    v = view(t)
    assert type(v) is zct.SharedTensor and v.is_shared and v.name == "x" and np.shares_memory(v, t)


@pytest.mark.parametrize(
    "other",
    [
        lambda t: t[[0, 1]],
        lambda t: t[t > 3],
        lambda t: t.repeat(2),
        lambda t: np.sort(t),
        lambda t: np.zeros_like(t),
        lambda t: np.empty_like(t),
        lambda t: np.ones_like(t),
        lambda t: np.full_like(t, 1),
        lambda t: t.clip(2, 3),
        lambda t: t.round(),
        lambda t: t.compress([True, False, True], axis=0),
        lambda t: np.copy(t, subok=True),
    ],
)
def test_others_claim_nothing(t, other):
    r = other(t)
    if isinstance(r, zct.SharedTensor):
        assert not r.is_shared and r.name is None and not np.shares_memory(r, t)
        assert r.holders == 0 and r.sealed is False and r.mode is None and not r.closed
        r.close()


def test_out_comes_back_as_itself(t):
    assert np.add(t, 1, out=t) is t
    u = t
    u += 1
    assert u is t and t[0, 0] == 3
    row = t[0]
    assert np.multiply(row, 2, out=row) is row and t[0, 0] == 6
    assert t.sum(axis=0, out=t[1]) is not None


def test_numpy_functions_work(t):
    a = t.array
    assert np.allclose(np.linalg.norm(t), np.linalg.norm(a))
    assert np.array_equal(np.linalg.pinv(t), np.linalg.pinv(a))
    assert np.array_equal(np.fft.fft(t), np.fft.fft(a))
    assert str(t) == str(a) and "SharedTensor" in repr(t)
    assert t.tolist() == a.tolist() and t.tobytes() == a.tobytes()
    assert np.ma.masked_less(t, 3).sum() == a[a >= 3].sum()
    np.random.shuffle(t)
    t.sort()
    assert memoryview(t).nbytes == t.nbytes


def test_isinstance_and_hash(t):
    assert isinstance(t, np.ndarray)
    with pytest.raises(TypeError):
        hash(t)


def test_no_reference_leaks(store):
    import gc
    import sys

    store.create("x", np.arange(12.0).reshape(3, 4), lifetime="pinned")

    def operations():
        t = store.attach("x")
        t[1:].T + 1, t.sum(), t.copy(), t.name, t.store, t.array, t.handle, t.holders
        store.attach("x", (3, 4), np.float64, mode="r")
        store.create("y", t, exists="replace", dtype="f4")
        store.create("y", zct.ones(3, store=store), exists="replace")
        store.list(), store.stats(), store.gc()
        for bad in (lambda: store.attach("none"), lambda: store.attach("x", (4,)), lambda: store.create("x", t)):
            try:
                bad()
            except (zct.Error, ValueError):
                pass
        with store.create("z", [1, 2]):
            pass

    for _ in range(20):
        operations()
    gc.collect()
    count = getattr(sys, "gettotalrefcount", lambda: 0)
    before = (
        [sys.getrefcount(o) for o in (zct.SharedTensor, zct.Store, zct.Handle, zct.TensorInfo, np.dtype("f8"), None, "x")],
        len(gc.get_objects()), count())
    for _ in range(200):
        operations()
    gc.collect()
    after = (
        [sys.getrefcount(o) for o in (zct.SharedTensor, zct.Store, zct.Handle, zct.TensorInfo, np.dtype("f8"), None, "x")],
        len(gc.get_objects()), count())
    for b, a in zip(before[0], after[0]):
        assert a - b < 50
    assert after[1] - before[1] < 50
