"""Bad arguments: the right class, a sentence with the name, and the store as it was."""

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

BAD_NAMES = ["", "x" * 256, "\u00e9" * 128, "a\0b", "\udc80", "x" * 100000]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda n: repr(n)[:12])
def test_bad_names(store, name):
    for call in (
        lambda: store.create(name, np.zeros(3)),
        lambda: store.attach(name),
        lambda: store.unlink(name),
        lambda: zct.zeros(3, name=name, store=store),
    ):
        with pytest.raises(ValueError):
            call()
    assert store.list() == [] and store.check() == []


@pytest.mark.parametrize("name", ["x" * 255, "\u00e9" * 127, "model/layer.1.weight", "\U0001f600", " ", "../../etc", "\n"])
def test_good_names(store, name):
    t = store.create(name, np.ones(3))
    assert t.name == name and store.list()[0].name == name
    assert store.attach(name).sum() == 3
    store.unlink(name)


@pytest.mark.parametrize("name", [None, 3, b"x", 1.5, ["x"]])
def test_names_of_other_types(store, name):
    for call in (store.attach, store.unlink):
        with pytest.raises(TypeError):
            call(name)


def test_missing_name(store):
    with pytest.raises(zct.TensorNotFoundError, match="none") as e:
        store.attach("none")
    assert isinstance(e.value, FileNotFoundError) and e.value.errno == 2
    assert e.value.filename == "none" and e.value.store == "t"


@pytest.mark.parametrize(
    "data",
    [np.array([None, 1]), np.array(["a"], object), np.zeros(2, [("a", "O"), ("b", "i4")]), [object()]],
    ids=["none", "str", "nested", "list"],
)
def test_object_dtype(store, data):
    with pytest.raises(TypeError, match="cannot be shared|Python objects"):
        store.create("x", data)
    assert store.list() == []


def test_string_dtype(store):
    if not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"):
        pytest.skip("this NumPy has no StringDType")
    with pytest.raises(TypeError):
        store.create("x", np.array(["a"], np.dtypes.StringDType()))


def test_objects_that_convert(store):
    assert store.create("x", np.array([1, 2], object), dtype=float).tolist() == [1, 2]


@pytest.mark.parametrize("shape", [-1, (2, -3), (2**62, 8), (2**33, 2**33), 2**64, (2**63,), (1,) * 65])
def test_bad_shapes(store, shape):
    for call in (zct.empty, zct.zeros):
        with pytest.raises((ValueError, zct.StoreFullError)):
            call(shape, store=store)
    with pytest.raises(ValueError):
        if not store.list():
            store.create("x", np.zeros(3))
        store.attach("x", shape)
    assert store.check() == []


@pytest.mark.parametrize("shape", ["abc", 1.5, (1.5,), {}, (None,), object()])
def test_shapes_of_other_types(store, shape):
    with pytest.raises((TypeError, ValueError)):
        if shape == {}:
            raise TypeError  # an empty dict is a sequence of no ints to NumPy and to us
        zct.empty(shape, store=store)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "w"},
        {"mode": 3},
        {"mode": "rw"},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": "soon"},
        {"dtype": "nonsense"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_bad_attach_arguments(store, arguments):
    store.create("x", np.zeros(3))
    with pytest.raises((ValueError, TypeError)):
        store.attach("x", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"exists": "overwrite"}, {"exists": None}, {"lifetime": "ever"}, {"order": "Z"}, {"dtype": "nonsense"}, {"colour": 1}],
    ids=str,
)
def test_bad_create_arguments(store, arguments):
    with pytest.raises((ValueError, TypeError)):
        store.create("x", np.zeros(3), **arguments)
    assert store.list() == []


def test_argument_errors_read_like_python_s():
    with pytest.raises(TypeError, match=r"attach_shared_tensor\(\) missing required argument 'name'"):
        zct.attach_shared_tensor()
    with pytest.raises(TypeError, match="unexpected keyword argument 'title'"):
        zct.attach_shared_tensor(title="x")
    with pytest.raises(TypeError, match="multiple values for argument 'name'"):
        zct.attach_shared_tensor("x", name="x")
    with pytest.raises(TypeError, match="at most 3 positional"):
        zct.attach_shared_tensor("x", (3,), "f4", "r")
    with pytest.raises(TypeError, match="store must be"):
        zct.attach_shared_tensor("x", store=3)


def test_full_store_loses_nothing(directory):
    with zct.Store("small", directory=directory, capacity=4 << 20) as s:
        kept = [s.create("k%d" % i, np.full(1 << 17, i, np.float64)) for i in range(3)]
        for _ in range(3):
            with pytest.raises(zct.StoreFullError) as e:
                s.create("big", np.zeros(3 << 20, np.uint8))
            assert e.value.errno == 28 and e.value.store == "small"
        with pytest.raises(zct.StoreFullError):
            zct.zeros(1 << 40, np.uint8, store=s)
        assert [k[0] for k in kept] == [0, 1, 2]
        assert sorted(r.name for r in s.list()) == ["k0", "k1", "k2"] and s.check() == []
        s.create("fits", np.zeros(1 << 18, np.uint8))


def test_too_many_names(directory):
    with zct.Store("names", directory=directory, capacity=8 << 20, max_names=64) as s:
        made = 0
        with pytest.raises(zct.StoreFullError, match="name"):
            for made in range(10000):
                s.create("n%d" % made, np.zeros(1))
        assert len(s.list()) == made and s.check() == []
        s.unlink("n0")
        s.create("again", np.zeros(1))


def test_use_after_close(store):
    t = store.create("x", np.arange(3))
    view = t[1:]
    t.close()
    t.close()
    assert t.closed and view.tolist() == [1, 2] and t.sum() == 3
    for call in (t.unlink, t.seal, t.__enter__, lambda: t.handle, lambda: t.holders, lambda: t.store):
        with pytest.raises(zct.ClosedError, match="'x'") as e:
            call()
        assert isinstance(e.value, ValueError)
    assert store.attach("x").sum() == 3


def test_use_of_a_closed_store(directory):
    s = zct.Store("c", directory=directory, capacity=1 << 20)
    t = s.create("x", np.arange(3))
    s.close()
    s.close()
    assert s.closed and t.sum() == 3
    for call in (s.list, s.stats, s.check, s.gc, s.trim, s.__enter__, lambda: s.attach("x"), lambda: s.create("y", [1])):
        with pytest.raises(zct.ClosedError, match="closed"):
            call()
    t[0] = 5
    with zct.Store("c", directory=directory) as again:
        assert again.attach("x")[0] == 5


def test_result_is_no_tensor_of_a_store(store):
    t = store.create("x", np.arange(4))
    result = t[[0, 1]]
    if isinstance(result, zct.SharedTensor):
        assert not result.is_shared and result.name is None and result.store is None and result.generation is None
        for call in (result.unlink, result.seal, lambda: result.handle):
            with pytest.raises(ValueError, match="private memory"):
                call()


def test_not_made_by_hand():
    with pytest.raises(TypeError):
        zct.SharedTensor((3,))
    with pytest.raises(TypeError):
        np.ndarray.__new__(zct.SharedTensor, (3,))
    with pytest.raises(TypeError):
        zct.Handle()
