"""Pickling: by value in plain pickle and copy, by reference inside multiprocessing; handles."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickle_is_by_value(store, protocol):
    t = store.create("x", np.arange(12).reshape(3, 4))
    for a in (t, t[1:, ::2], t.T, t[0]):
        b = pickle.loads(pickle.dumps(a, protocol))
        assert type(b) is np.ndarray and np.array_equal(a, b) and not np.shares_memory(a, b)
    text = pickle.dumps(t, protocol)
    t.unlink()
    t.close()
    del t, a
    assert pickle.loads(text).sum() == 66


def test_copies_are_plain(store):
    t = store.create("x", np.arange(12).reshape(3, 4))
    for c in (copy.copy(t), copy.deepcopy(t), t.copy(), t.astype(float), t.flatten(), t.take([1, 2]), np.array(t)):
        assert type(c) is np.ndarray and not np.shares_memory(c, t)
    assert copy.deepcopy({"a": [t]})["a"][0].sum() == 66


def test_tofile_and_npy(store, tmp_path):
    t = store.create("x", np.arange(12).reshape(3, 4))
    np.save(str(tmp_path / "x.npy"), t)
    assert np.load(str(tmp_path / "x.npy")).sum() == 66


def test_handle(store, peer):
    t = store.create("x", np.arange(5))
    h = pickle.loads(pickle.dumps(t.handle))
    assert h.name == "x" and h.store_path == store.path and "'x'" in repr(h)
    w = h.attach()
    assert np.shares_memory(w, t) and w.name == "x"
    assert h.attach("r").mode == "r"
    p = peer()
    p.do("import pickle; h = pickle.loads(bytes.fromhex(%r))" % pickle.dumps(t.handle).hex())
    assert p.do("h.attach().tolist()") == [0, 1, 2, 3, 4]


def test_handle_keeps_an_unnamed_tensor(store, peer):
    t = zct.full(4, 3.0, store=store)
    sent = pickle.dumps(t.handle)
    del t
    p = peer()
    p.do("import pickle; w = pickle.loads(bytes.fromhex(%r)).attach()" % sent.hex())
    assert p.do("w.sum(), w.name, w.is_shared") == [12.0, None, True]
    again = pickle.loads(sent).attach()
    assert again.sum() == 12
    del again
    p.do("del w")
    store.gc()
    with pytest.raises(zct.TensorNotFoundError):
        pickle.loads(sent).attach()


def test_handle_of_a_part(store):
    t = store.create("x", np.arange(24).reshape(4, 6))
    for part in (t[1:, ::2], t.T, t[::-1], t[2], t[1, 2:3], t[:0]):
        w = pickle.loads(pickle.dumps(part.handle)).attach()
        assert np.array_equal(w, part) and w.strides == part.strides and w.name == "x"
        if part.size:
            assert np.shares_memory(w, part)
    frozen = t[1:]
    frozen.flags.writeable = False
    assert not frozen.handle.attach().flags.writeable
    assert t.view(np.uint8).handle.attach().dtype == np.uint8


def test_dropped_handle_lets_go(store):
    t = store.create("x", np.zeros(3))
    for _ in range(10000):
        t.handle
    assert store.stats().handles == 0


def test_too_many_handles(store):
    t = store.create("x", np.zeros(3))
    sent = []
    with pytest.raises(zct.TooManyHandlesError) as e:
        for _ in range(10000):
            sent.append(pickle.dumps(t.handle))
    assert e.value.errno == 24 and len(sent) >= 256
    assert store.gc(handles=0).handles == len(sent)
    assert t.handle.attach().sum() == 0


def test_handle_of_a_destroyed_store(directory):
    with zct.Store("gone", directory=directory, capacity=1 << 20) as s:
        sent = pickle.dumps(s.create("x", np.zeros(3)).handle)
        zct.Store.destroy("gone", directory=directory)
    with pytest.raises(zct.TensorNotFoundError, match="gone"):
        pickle.loads(sent).attach()
    with zct.Store("gone", directory=directory, capacity=1 << 20):
        with pytest.raises(zct.TensorNotFoundError):
            pickle.loads(sent).attach()


def test_damaged_handles(store):
    from zero_copy_tensor_ipc import _core

    t = store.create("x", np.arange(5))
    rebuild, (raw, path, name, part) = t.handle.__reduce__()
    assert rebuild is _core._rebuild_handle
    for bad in (b"", raw[:-1], raw + b"x"):
        with pytest.raises(ValueError, match="damaged"):
            rebuild(bad, path, name, part)
    for i in range(len(raw)):
        with pytest.raises((ValueError, zct.Error)):
            rebuild(raw[:i] + bytes([raw[i] ^ 255]) + raw[i + 1 :], path, name, part).attach()
    assert t.sum() == 10


def test_no_handle_of_private_pages(store):
    store.create("x", np.arange(5))
    c = store.attach("x", mode="c")
    with pytest.raises(ValueError, match="private"):
        c.handle


# ---- multiprocessing ---------------------------------------------------------------------------------------


def _double(t, answers):
    t *= 2
    answers.put((type(t).__name__, t.is_shared, t.name, float(t.sum())))


def _echo(t):
    return t


def _sum(t):
    return float(t.sum()), t.is_shared


@pytest.mark.parametrize("method", METHODS)
def test_process_arguments(store, method):
    context = multiprocessing.get_context(method)
    t = store.create("x", np.ones((4, 4)))
    u = zct.ones(8, store=store)
    for a in (t, t[1:3], u):
        before = float(a.sum())
        answers = context.Queue()
        process = context.Process(target=_double, args=(a, answers))
        process.start()
        kind, shared, name, total = answers.get(timeout=100)
        process.join(100)
        assert process.exitcode == 0
        assert kind == "SharedTensor" and shared and name == a.name
        assert total == 2 * before == float(a.sum())


@pytest.mark.parametrize("method", METHODS)
def test_queue_pipe_pool(store, method):
    context = multiprocessing.get_context(method)
    t = store.create("x", np.ones(10))
    with context.Pool(2) as pool:
        assert pool.map(_sum, [t, t[:5]]) == [(10.0, True), (5.0, True)]
        back = pool.apply(_echo, (t[2:4],))
    assert back.is_shared and np.shares_memory(back, t)
    queue = context.Queue()
    queue.put(t)
    assert np.shares_memory(queue.get(timeout=100), t)
    queue.close()
    queue.join_thread()
    a, b = context.Pipe()
    a.send(t)
    assert np.shares_memory(b.recv(), t)


def test_results_go_by_value(store):
    a, b = multiprocessing.Pipe()
    t = store.create("x", np.ones(10))
    for value in (t[[1, 2]], store.attach("x", mode="c"), t + 1):
        a.send(value)
        got = b.recv()
        assert np.array_equal(got, value) and not np.shares_memory(got, value)


def test_executor(store):
    from concurrent.futures import ProcessPoolExecutor

    t = store.create("x", np.ones(10))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(_sum, t).result(100) == (10.0, True)


LATER = """
import sys
import numpy as np, zero_copy_tensor_ipc as zct
t = zct.create_shared_tensor("x", np.ones(3))
assert "multiprocessing.reduction" not in sys.modules
"""


def test_multiprocessing_imported_later(python):
    python(
        LATER
        + """
from multiprocessing.reduction import ForkingPickler
for _ in range(2):
    u = ForkingPickler.loads(ForkingPickler.dumps({"a": [t[1:]]}))["a"][0]
    assert u.is_shared and np.shares_memory(t, u) and u.shape == (2,)
"""
    )
    python(
        LATER
        + """
import pickle
u = pickle.loads(pickle.dumps(t))
import multiprocessing.reduction
v = pickle.loads(pickle.dumps(t))
assert type(u) is type(v) is np.ndarray
a, b = multiprocessing.Pipe()
a.send(t)
assert b.recv().is_shared
"""
    )
    python(
        LATER
        + """
if __name__ == "__main__":
    import multiprocessing
    context = multiprocessing.get_context("spawn")
    p = context.Process(target=zct.SharedTensor.fill, args=(t, 5))
    p.start()
    p.join()
    assert t.sum() == 15 and p.exitcode == 0
"""
    )


def test_joblib_dump_is_by_value(store, tmp_path):
    joblib = pytest.importorskip("joblib")
    t = store.create("x", np.arange(1000.0))
    for i, a in enumerate((t, t[::3], {"weights": [t]})):
        joblib.dump(a, str(tmp_path / str(i)))
    t.unlink()
    del t, a
    whole, part, nested = (joblib.load(str(tmp_path / str(i))) for i in range(3))
    for b in (whole, part, nested["weights"][0]):
        assert type(b) is np.ndarray
    assert whole.sum() == nested["weights"][0].sum() == 499500 and np.array_equal(part, whole[::3])
    assert store.stats().names == store.stats().handles == 0


def test_through_a_manager(store):
    """The manager's process holds what it was given, and gives it on by reference."""
    t = zct.ones(10, store=store)
    with multiprocessing.get_context("spawn").Manager() as manager:
        things = manager.dict(t=t)
        assert t.holders == 2
        del t
        back = things["t"]
        assert back.is_shared and back.sum() == 10
        back[0] = 5
        assert things["t"][0] == 5 and store.stats().handles == 0
    store.gc()
    assert back.holders == 1


def _is_shared(initial, t):
    global _INITIAL
    if initial is not None:
        _INITIAL = initial
        return None
    return _INITIAL.is_shared and np.shares_memory(_INITIAL, t)


def test_pool_initializer(store):
    t = store.create("x", np.ones(10))
    with multiprocessing.get_context("spawn").Pool(1, _is_shared, (t[2:], None)) as pool:
        assert pool.apply(_is_shared, (None, t))
