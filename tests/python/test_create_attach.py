"""create, attach, unlink, list: what goes in comes out, and is checked where the caller says what to expect."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

PLAIN = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
RARE = ["g", "G", "M8", "M8[ns]", "M8[25s]", "m8[D]", "m8[7us]", "S1", "S5", "U1", "U3", "V7", "q", "Q", "l", "L"]


def dtypes():
    for text in PLAIN + RARE:
        native = np.dtype(text)
        yield native
        if native.newbyteorder() != native:
            yield native.newbyteorder()


@pytest.mark.parametrize("dtype", list(dtypes()), ids=lambda d: d.str)
def test_every_plain_dtype_in_both_byte_orders(store, peer, dtype):
    data = np.arange(24, dtype="u1").repeat(dtype.itemsize).view(dtype).reshape(2, 3, 4)
    if dtype.kind in "US":
        data = np.array([["a", "bc"], ["", "d"]], dtype)
    t = store.create("x", data)
    w = store.attach("x", data.shape, dtype)
    assert t.dtype == w.dtype == dtype
    assert w.dtype.str == dtype.str
    assert w.tobytes() == data.tobytes()
    p = peer()
    assert p.do("str(zct.attach_shared_tensor('x').dtype.str)") == dtype.str


def test_the_two_calls(store, peer):
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    t = zct.create_shared_tensor("model/layer.1.weight", data, store=store)
    assert type(t) is zct.SharedTensor and isinstance(t, np.ndarray)
    assert not np.shares_memory(data, t)
    p = peer()
    p.do("w = zct.attach_shared_tensor('model/layer.1.weight', (3, 4), np.float32); w[1, 2] = 99")
    assert t[1, 2] == 99
    t[0, 0] = -1
    assert p.do("float(w[0, 0])") == -1
    assert p.do("w.name, w.generation, w.is_shared, w.mode, w.holders") == ["model/layer.1.weight", 1, True, "r+", 2]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1), (7,), (2, 3, 4, 5), (1,) * 32])
def test_shapes(store, shape):
    data = np.ones(shape, np.int16)
    t = store.create("x", data)
    w = store.attach("x", shape)
    assert w.shape == shape and np.array_equal(w, data)
    assert w.strides == data.strides or data.size == 0  # NumPy 2.4 and earlier ones differ there
    assert t.nbytes == data.nbytes


def test_orders_and_strides(store):
    base = np.arange(60, dtype=np.int32).reshape(3, 4, 5)
    for data in (base, np.asfortranarray(base), base.T, base[::2, ::-1], base[:, 1], base.transpose(1, 0, 2), base[::-1]):
        t = store.create("x", data, exists="replace")
        assert np.array_equal(t, data) and np.array_equal(store.attach("x"), data)
    assert store.create("f", np.asfortranarray(base)).flags.f_contiguous
    assert store.attach("f").flags.f_contiguous
    assert store.create("c", np.asfortranarray(base), order="C").flags.c_contiguous
    assert store.create("f2", base, order="F").flags.f_contiguous


def test_unaligned_source(store):
    raw = np.zeros(33, np.uint8)
    data = raw[1:].view(np.float64)
    assert not data.flags.aligned
    assert store.create("x", data).flags.aligned


def test_what_asarray_takes(store):
    assert store.create("list", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert store.create("scalar", 2.5).shape == ()
    assert store.create("bytes", b"abc").dtype == np.dtype("S3")
    assert store.create("buffer", memoryview(b"abc")).tolist() == [97, 98, 99]
    assert store.create("str", np.array(["ab", "c"])).tolist() == ["ab", "c"]


def test_conversion(store):
    t = store.create("x", np.arange(3), dtype=np.float32)
    assert t.dtype == np.float32 and t.tolist() == [0, 1, 2] and t.name == "x"
    assert store.create("y", [1, 2], dtype=">i2").dtype == np.dtype(">i2")
    assert store.create("s", np.array([1, 22]), dtype="S").tolist() == [b"1", b"22"]


def test_source_is_copied_once_and_private(store):
    data = np.zeros(10)
    t = store.create("x", data)
    data[:] = 1
    assert t.sum() == 0


@pytest.mark.parametrize(
    "shape, dtype",
    [((4, 3), None), ((3, 4, 1), None), (12, None), ((), None), (None, np.float64), (None, ">f4"), ((4, 3), np.int32)],
)
def test_wrong_shape_or_dtype(store, shape, dtype):
    store.create("x", np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError) as e:
        store.attach("x", shape, dtype)
    assert "'x'" in str(e.value)
    assert e.value.store == "t"
    assert store.list()[0].holders == 0


def test_wrong_shape_says_both_sides(store):
    t = store.create("x", np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"3.*4.*5.*6|5.*6.*3.*4"):
        store.attach("x", (5, 6))
    with pytest.raises(ValueError, match="float32.*float64|float64.*float32"):
        store.attach("x", dtype=np.float64)
    assert t.holders == 1


def test_right_shape_in_other_words(store):
    store.create("x", np.zeros(5, np.float32), lifetime="pinned")
    for shape in (5, (5,), [5], np.array([5]), np.int64(5)):
        assert store.attach("x", shape).shape == (5,)
    for dtype in (np.float32, "f4", np.dtype("f4"), "float32", "<f4"):
        assert store.attach("x", (5,), dtype).dtype == np.float32


def test_unlink_and_list(store):
    store.create("b", np.zeros((2, 2)))
    t = store.create("a", np.zeros(3, np.int8))
    records = {r.name: r for r in store.list()}
    assert sorted(records) == ["a", "b"]
    assert records["a"].shape == (3,) and records["a"].dtype == np.int8 and records["a"].nbytes == 3
    assert records["a"].holders == 1 and records["b"].holders == 0 and records["a"].generation == 1
    assert len(records["a"]) == 6 and records["a"][0] == "a"
    assert records["a"].lifetime == "persistent" and records["a"].sealed is False
    zct.unlink_shared_tensor("a", store=store)
    assert [r.name for r in store.list()] == ["b"]
    assert t.name == "a" and t.sum() == 0
    store.unlink("b")
    assert store.list() == []


def test_unlink_missing(store):
    with pytest.raises(zct.TensorNotFoundError):
        store.unlink("none")
    store.unlink("none", missing_ok=True)


def test_empty_zeros_ones_full(store):
    assert zct.empty((2, 3), store=store).dtype == np.float64
    assert zct.zeros((2, 3), np.int16, store=store).tolist() == [[0] * 3] * 2
    assert zct.ones(3, "u1", store=store).tolist() == [1, 1, 1]
    assert zct.full((2, 2), 7, store=store).tolist() == [[7, 7], [7, 7]]
    assert zct.full((2, 2), 7, store=store).dtype == np.array(7).dtype
    assert zct.full((2, 2), [1, 2], np.float32, store=store).tolist() == [[1, 2], [1, 2]]
    assert zct.zeros((2, 3), order="F", store=store).flags.f_contiguous
    t = zct.ones((2, 2), name="named", store=store)
    assert t.name == "named" and store.attach("named").sum() == 4
    like = zct.empty_like(np.zeros((2, 3), np.int8, order="F"), store=store)
    assert like.shape == (2, 3) and like.dtype == np.int8 and like.flags.f_contiguous
    assert zct.empty_like(like, dtype="f4", shape=5, store=store).shape == (5,)


def test_fresh_zeros_after_reuse(store):
    for _ in range(3):
        t = zct.full(5000, 3.0, store=store)
        del t
        assert not zct.zeros(5000, store=store).any()


def test_unnamed_has_no_name(store):
    t = zct.zeros(3, store=store)
    assert t.name is None and t.is_shared and store.list() == []


def test_store_by_name(directory, python):
    python(
        """
        import numpy as np, zero_copy_tensor_ipc as zct
        a = zct.create_shared_tensor("x", np.ones(3), store="one")
        b = zct.create_shared_tensor("x", np.zeros(3), store="two")
        assert zct.attach_shared_tensor("x", store="one").sum() == 3
        assert zct.attach_shared_tensor("x", store="two").sum() == 0
        assert zct.list_shared_tensors() == [] and len(zct.list_shared_tensors("one")) == 1
        assert a.store.name == "one" and sorted(i.name for i in zct.Store.list_stores()) == ["default", "one", "two"]
        """
    )


def test_timeout_waits_for_a_name(store, peer):
    p = peer()
    p.start("t = zct.attach_shared_tensor('late', timeout=60); float(t[0])")
    with pytest.raises(zct.TensorNotFoundError):
        store.attach("late", timeout=0.05)
    t = store.create("late", np.full(3, 5.0))
    p.finish()
    assert p.do("float(t[0])") == 5.0 and t.holders == 2


def test_timeout_none_can_be_interrupted(store):
    import signal

    def on_alarm(signum, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            store.attach("never", timeout=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


class InTheMiddle:
    """An element that does something when it is converted: a create stands still in the middle of its copy."""

    def __init__(self, then):
        self.then = then

    def __float__(self):
        self.then()
        return 5.0


@pytest.mark.parametrize("old", [False, True], ids=["a new name", "a replaced one"])
def test_attach_in_the_window_of_a_create(store, peer, old):
    """Nobody sees a tensor that is being made: neither this process, nor another; then all see it whole."""
    p = peer()
    kept = store.create("x", np.full(1000, 4.0)) if old else None
    seen = []

    def look():
        seen.append(True)
        if old:
            assert store.attach("x")[999] == 4 and p.do("float(zct.attach_shared_tensor('x')[999])") == 4
            assert [r.generation for r in store.list()] == [1]
        else:
            with pytest.raises(zct.TensorNotFoundError):
                store.attach("x")
            assert p.do("zct.list_shared_tensors()") == store.list() == []
            p.start("t = zct.attach_shared_tensor('x', timeout=None)")

    data = np.full(1000, 5.0, object)
    data[500] = InTheMiddle(look)
    t = store.create("x", data, dtype=float, exists="replace")
    assert seen == [True] and (t == 5).all() and t.generation == 1 + old
    if old:
        assert (kept == 4).all()
    else:
        p.finish()
        assert p.do("float(t.min()), float(t.max())") == [5.0, 5.0]


def test_a_create_that_fails_in_the_middle(store):
    """Its name, its bytes and what it was to replace are as they were."""
    t = store.create("x", np.full(1000, 4.0))
    used = store.stats().used

    def fail():
        raise KeyError("no value")

    data = np.full(1000, 5.0, object)
    data[500] = InTheMiddle(fail)
    for name in ("x", "y"):
        with pytest.raises(KeyError, match="no value"):
            store.create(name, data, dtype=float, exists="replace")
    assert [r.name for r in store.list()] == ["x"] and store.attach("x").generation == 1 and (t == 4).all()
    assert store.stats().used == used and store.stats().names == 1
