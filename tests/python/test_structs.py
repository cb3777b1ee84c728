"""Structured dtypes: the very same dtype on the other side, from a descriptor that is not believed."""

import copy
import json
import pickle

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc import _structs

PLAIN = ["?", "u1", "i1", ">i2", "<i4", ">u8", "f2", ">f4", "f8", "g", ">g", "c8", ">c16", "G"]
RARE = ["M8[25s]", ">M8[ns]", "M8", "m8[D]", ">m8[7us]", "S5", "S0", "U3", ">U2", "V7"]

STRUCTS = {
    "empty": np.dtype([]),
    "empty with bytes": np.dtype({"names": [], "formats": [], "offsets": [], "itemsize": 8}),
    "one": np.dtype([("x", "f4")]),
    "every type": np.dtype([("f%d" % i, t) for i, t in enumerate(PLAIN + RARE)]),
    "order of names": np.dtype([("z", "f4"), ("a", "i8"), ("m", "u1")]),
    "packed": np.dtype("u1,f8,u1"),
    "aligned": np.dtype("u1,f8,u1", align=True),
    "aligned within": np.dtype([("a", "u1"), ("b", np.dtype("u1,f8", align=True))]),
    "aligned all over": np.dtype([("a", "u1"), ("b", np.dtype("u1,f8", align=True))], align=True),
    "offsets": np.dtype({"names": ["a", "b"], "formats": ["i4", "u1"], "offsets": [9, 3]}),
    "overlap": np.dtype({"names": ["all", "low", "high"], "formats": ["u4", "u2", "u2"], "offsets": [0, 0, 2]}),
    "padding": np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 100}),
    "some fields of another": np.dtype([("a", "i4"), ("b", "f8"), ("c", "u1")], align=True)[["a", "c"]],
    "titles": np.dtype([(("Title of x", "x"), "f4"), ("y", "i4"), (("\u03b6", "z"), "u1")]),
    "title and offset": np.dtype({"names": ["x"], "formats": ["f4"], "offsets": [4], "titles": ["T"], "itemsize": 12}),
    "nested": np.dtype([("a", [("b", [("c", ">i2"), ("d", "S3")]), ("e", "f8")])]),
    "sub-arrays": np.dtype([("a", "f4", (2, 3)), ("b", "i2", 4), ("c", "u1", (1,)), ("d", "u1", (0,)), ("e", "U2", (2,))]),
    "sub-array of structs": np.dtype([("a", [("x", "f4"), ("y", "M8[s]", (2,))], (3, 2))]),
    "deep": np.dtype([("a", [("b", [("c", [("d", [("e", "i4", 2)], 2)], 2)], 2)], 2)]),
    "unicode": np.dtype([("\u00e9", "i4"), ("\U0001f600", "f4"), ("a b", "u1"), ('"\\', "u1"), ("\n", "u1"), ("x\0y", "u1")]),
    "surrogates": np.dtype([("\udc80", "i4"), (("\ud800", "x"), "f4")]),
    "record": np.dtype((np.record, [("x", "f4"), ("y", "i8")])),
    "record within": np.dtype([("r", np.dtype((np.record, [("x", "f4")]))), ("s", "i4")]),
    "number with fields": np.dtype((">i4", [("r", "u1"), ("g", "u1"), ("b", "u1"), ("a", "u1")])),
    "complex with fields": np.dtype(("c16", [("real", "f8"), ("imag", "f8")])),
    "many": np.dtype([("field_%d" % i, "f4") for i in range(1000)]),
}


def everything(dtype):
    """All that a dtype without metadata is: == leaves some of it out."""
    if dtype.subdtype is not None:
        return "sub", everything(dtype.subdtype[0]), dtype.shape
    if dtype.names is None:
        return dtype.str
    rows = [(n, everything(dtype.fields[n][0]), dtype.fields[n][1:]) for n in dtype.names]
    return dtype.type, dtype.str, dtype.itemsize, dtype.isalignedstruct, rows


def filled(dtype, count=6):
    raw = np.arange(count * max(dtype.itemsize, 1), dtype=np.uint32).astype(np.uint8) % 96
    return np.ndarray(count, dtype, buffer=raw)


@pytest.mark.parametrize("dtype", list(STRUCTS.values()), ids=list(STRUCTS))
def test_round_trip(store, dtype):
    data = filled(dtype)
    t = store.create("x", data)
    w = store.attach("x", 6, dtype)
    for got in (t.dtype, w.dtype, store.list()[0].dtype, zct.empty(3, dtype, store=store).dtype):
        assert got == dtype and everything(got) == everything(dtype)
    assert w.tobytes() == data.tobytes() and t.nbytes == data.nbytes == store.list()[0].nbytes
    assert np.shares_memory(t, w) or dtype.itemsize == 0


def test_round_trip_to_another_process(store, peer):
    data = {name: filled(dtype) for name, dtype in STRUCTS.items()}
    held = [store.create(name, data[name]) for name in data]
    p = peer()
    p.do("import pickle; w = {i.name: zct.attach_shared_tensor(i.name) for i in zct.list_shared_tensors()}")
    there = pickle.loads(bytes.fromhex(p.do("pickle.dumps({n: (t.dtype, t.tobytes()) for n, t in w.items()}).hex()")))
    assert sorted(there) == sorted(STRUCTS) and len(held) == len(there)
    for name, (dtype, text) in there.items():
        assert everything(dtype) == everything(STRUCTS[name]) and text == data[name].tobytes()


@pytest.mark.parametrize("text", PLAIN + RARE)
def test_every_type_as_a_field(store, text):
    dtype = np.dtype([("before", "u1"), ("x", text)] + ([] if text == "S0" else [("y", text, (2,))]))
    t = store.create("x", filled(dtype))
    assert store.attach("x").dtype == dtype and t["x"].dtype == np.dtype(text)


def test_metadata_stays_here(store):
    dtype = np.dtype([("x", np.dtype("f4", metadata={"unit": "m"}))], metadata={"a": 1})
    assert store.create("x", np.zeros(3, dtype)).dtype.metadata is None
    assert store.attach("x", dtype=dtype).dtype.fields["x"][0].metadata is None


def test_fields_are_views(store, peer):
    t = store.create("x", np.zeros(4, [("x", "f4"), ("y", "i8", (2,)), ("n", [("k", ">i2")])]))
    w = store.attach("x")
    assert type(t["x"]) is zct.SharedTensor and t["x"].is_shared and t["n"]["k"].name == "x"
    t["x"] = 5
    t["y"][1, 1] = 7
    t["n"]["k"][2] = -3
    t[3] = (1.5, (2, 3), (4,))
    assert w["x"].tolist() == [5, 5, 5, 1.5] and w["y"][1].tolist() == [0, 7] and w["n"]["k"].tolist() == [0, 0, -3, 4]
    p = peer()
    p.do("w = zct.attach_shared_tensor('x'); w['x'][0] = 9; w[1] = (8, (1, 1), (1,))")
    assert t["x"].tolist() == [9, 8, 5, 1.5]
    assert t[["x", "n"]].dtype.names == ("x", "n") and t[["x", "n"]].is_shared


def test_an_element_outlives_its_array(store):
    t = store.create("x", np.array([(1.0, 2), (3.0, 4)], "f4,i8"))
    element = t[1]
    t.unlink()
    del t
    for _ in range(20):
        store.create("y", np.full(2, -1.0), exists="replace")
    assert element.tolist() == (3.0, 4) and isinstance(element, np.void)


def test_records(store):
    t = store.create("x", np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")]))
    assert t.dtype.type is np.record and t[1].b == 4.0
    assert store.attach("x").view(np.recarray).a.tolist() == [1, 3]


def test_made_in_the_store(store):
    dtype = np.dtype([("x", "f4"), ("y", "i8")], align=True)
    assert zct.zeros(3, dtype, store=store)["y"].tolist() == [0, 0, 0]
    assert zct.ones(2, dtype, store=store).tolist() == [(1, 1), (1, 1)]
    assert zct.full(2, np.array((1, 2), dtype), store=store).tolist() == [(1, 2), (1, 2)]
    like = zct.empty_like(np.zeros((2, 3), dtype), store=store)
    assert like.shape == (2, 3) and everything(like.dtype) == everything(dtype)
    assert store.create("l", [(1, 2), (3, 4)], dtype=dtype)["y"].tolist() == [2, 4]
    assert store.create("c", np.zeros(2, "f8,f8"), dtype=dtype).dtype == dtype


def test_published_without_a_copy(store):
    made = zct.empty(1000, "f4,i8", store=store)
    made["f1"] = 3
    t = store.create("x", made, copy=False)
    assert np.shares_memory(made, t) and store.attach("x")["f1"].sum() == 3000 and t.dtype == made.dtype
    with zct.numpy_allocator(store=store):
        born = np.ones(10000, "f4,i8")
    u = store.create("y" * 200, born, copy=False)
    assert np.shares_memory(born, u) and store.attach("y" * 200, (10000,), "f4,i8")["f0"].sum() == 10000


def test_another_view_is_copied_with_its_dtype(store):
    made = zct.zeros(4, "f4,i8", store=store)
    t = store.create("x", made.view(np.dtype((np.record, made.dtype))))
    assert t.dtype.type is np.record and not np.shares_memory(made, t)


# ---- compared where asked ------------------------------------------------------------------------------------------

OTHERS = [
    np.dtype("f4"),
    np.dtype("V12"),
    np.dtype([("x", "f4"), ("z", "i8")]),
    np.dtype([("x", "f4"), ("y", "u8")]),
    np.dtype([("x", "f4"), ("y", ">i8")]),
    np.dtype([("y", "i8"), ("x", "f4")]),
    np.dtype([("x", "f4"), ("y", "i8")], align=True),
    np.dtype([("x", "f4"), (("title", "y"), "i8")]),
    np.dtype([("x", "f4"), ("y", "O")]),
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_attach_compares(store, other):
    dtype = np.dtype([("x", "f4"), ("y", "i8")])
    t = store.create("x", np.zeros(3, dtype))
    assert store.attach("x", dtype=dtype.descr).dtype == dtype
    calls = [lambda: store.attach("x", dtype=other), lambda: store.attach("x", (3,), other)]
    if not other.hasobject:
        calls += [lambda: store.create("x", np.zeros(3, other), exists="attach")]
        calls += [lambda make=make: make(3, other, name="x", store=store, exists="attach") for make in (zct.zeros, zct.ones)]
    for call in calls:
        with pytest.raises(ValueError) as e:
            call()
        assert repr(dtype) in str(e.value) and repr(other) in str(e.value) and "'x'" in str(e.value)
        assert e.value.store == "t"
    store.create("f", np.zeros(3, "f8"))
    with pytest.raises(ValueError, match="float64"):
        store.attach("f", dtype=dtype)
    assert t.holders == 1


def test_attach_compares_shapes(store):
    t = store.create("x", np.zeros((2, 3), "f4,i8"))
    with pytest.raises(ValueError, match=r"f4.* 2x3, not .* 3x2"):
        store.attach("x", (3, 2), "f4,i8")
    for joined in (
        store.create("x", np.zeros((2, 3), "f4,i8"), exists="attach"),
        zct.zeros((2, 3), "f4,i8", name="x", store=store, exists="attach"),
    ):
        assert np.shares_memory(joined, t)


# ---- the names of a dtype can be changed in place ----------------------------------------------------------------------


def test_renamed_fields_stay_here(store):
    dtype = np.dtype([("x", "f4"), ("n", [("p", "i4"), ("q", "i4")])])
    t, other = store.create("x", np.zeros(3, dtype)), store.attach("x")
    t.dtype.names = ("a", "b")
    assert t["a"].sum() == 0 and other.dtype.names == ("x", "n") and dtype.names == ("x", "n")
    assert store.create("y", t).dtype.names == ("a", "b") and store.attach("x").dtype.names == ("x", "n")
    other.dtype["n"].names = ("P", "Q")
    assert store.attach("x").dtype == dtype and dtype["n"].names == ("p", "q")
    dtype["n"].names = ("k", "l")
    assert store.create("z", np.zeros(3, dtype)).dtype["n"].names == ("k", "l")
    assert store.attach("z", dtype=dtype).dtype["n"].names == ("k", "l")
    assert store.attach("x").dtype["n"].names == ("p", "q")


def test_more_dtypes_than_are_remembered(store):
    dtypes = [np.dtype([("a", "f4"), ("b%d" % i, "i8", (i,))], align=bool(i % 2)) for i in range(100)]
    tensors = [store.create("x%d" % i, np.zeros(2, d)) for i, d in enumerate(dtypes)]
    for _ in range(2):
        for i, d in enumerate(dtypes):
            assert everything(store.attach("x%d" % i, dtype=d).dtype) == everything(d)
    assert [everything(t.dtype) for t in tensors] == [everything(d) for d in dtypes]


# ---- by reference and by value ---------------------------------------------------------------------------------------


def test_handles_and_pickles(store, peer):
    from multiprocessing.reduction import ForkingPickler

    dtype = STRUCTS["titles"]
    t = store.create("x", filled(dtype))
    for part in (t, t[1:], t["z"], t[["x", "y"]], t[::-2]):
        for sent in (pickle.dumps(part.handle), bytes(ForkingPickler.dumps(part))):
            got = pickle.loads(sent)
            w = got.attach() if isinstance(got, zct.Handle) else got
            assert w.is_shared and np.shares_memory(w, part) and w.tolist() == part.tolist()
            assert everything(w.dtype) == everything(part.dtype)
    p = peer()
    p.do("import pickle; w = pickle.loads(bytes.fromhex(%r))" % bytes(ForkingPickler.dumps(t[1:])).hex())
    assert p.do("w.is_shared, w.dtype.fields['Title of x'][1], len(w)") == [True, 0, 5]
    for value in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t), t.copy()):
        assert type(value) is np.ndarray and everything(value.dtype) == everything(dtype) and value.tolist() == t.tolist()


# ---- what has no descriptor ------------------------------------------------------------------------------------------


def deep(n):
    dtype = np.dtype("i4")
    for _ in range(n):
        dtype = np.dtype([("a", dtype)])
    return dtype


@pytest.mark.parametrize(
    "dtype, reason",
    [
        (np.dtype([("a", "O")]), "Python objects"),
        (np.dtype([("a", "i4"), ("b", [("c", "O", (2,))])]), "Python objects"),
        (np.dtype([((5, "a"), "i4")]), "title of field 'a' is no str but 5"),
        (deep(33), "more than 32 deep"),
        (np.dtype([("a" * 70000, "i4")]), r"bytes, more than 65535"),
        (np.dtype([("field %d" % i, "i4") for i in range(5000)]), "more than 65535"),
    ],
    ids=["object", "nested object", "title", "deep", "long", "many"],
)
def test_refused(store, dtype, reason):
    with pytest.raises(TypeError, match=reason) as e:
        store.create("x", np.zeros(3, dtype))
    assert "cannot be shared" in str(e.value) and len(str(e.value)) < 1000
    with pytest.raises(TypeError, match=reason):
        zct.empty(3, dtype, store=store)
    assert store.list() == [] and store.check() == []


def test_deepest(store):
    dtype = deep(32)  # which old NumPys cannot compare in a lifetime
    for t in (store.create("x", np.zeros(3, dtype)), store.attach("x", 3, deep(32)), zct.ones(3, dtype, store=store)):
        assert everything(t.dtype) == everything(dtype)
    with pytest.raises(ValueError, match="not"):
        store.attach("x", 3, np.dtype([("a", deep(31).newbyteorder())]))


def test_other_people_s_dtypes(store):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(TypeError, match="field 'b'.*not one of NumPy's own"):
        store.create("x", np.zeros(3, [("a", "i4"), ("b", ml_dtypes.bfloat16)]))


# ---- descriptors of others -----------------------------------------------------------------------------------------------


def descriptor(*fields, itemsize=8, **more):
    return json.dumps(dict({"fields": list(fields), "itemsize": itemsize}, **more)).encode()


X = ["x", "<f4", 0]
HOSTILE = {
    "nothing": b"",
    "no JSON": b"{fields",
    "no UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "a number": b"3",
    "no fields": b'{"itemsize":8}',
    "no size": b'{"fields":[]}',
    "fields is no list": b'{"fields":{"x":"<f4"},"itemsize":8}',
    "a field is no list": descriptor("x"),
    "a short field": descriptor(["x", "<f4"]),
    "a long field": descriptor(["x", "<f4", 0, "t", 1]),
    "a name that is none": descriptor([3, "<f4", 0]),
    "a name twice": descriptor(X, ["x", "<f4", 4]),
    "a title that is a name": descriptor(X, ["y", "<f4", 4, "x"]),
    "a title that is none": descriptor(["x", "<f4", 0, 5]),
    "objects": descriptor(["x", "|O", 0]),
    "objects with a size": descriptor(["x", "|O8", 0]),
    "objects in a sub-array": descriptor(["x", ["|O8", [1]], 0]),
    "objects in a struct": descriptor(["x", {"fields": [["y", "|O8", 0]], "itemsize": 8}, 0]),
    "objects as the base": descriptor(X, base="|O8"),
    "a comma string": descriptor(["x", "<f4,<f4", 0]),
    "a type by name": descriptor(["x", "float32", 0]),
    "a type of this process": descriptor(["x", "object", 0]),
    "an unknown type": descriptor(["x", "<f3", 0]),
    "a type that is a number": descriptor(["x", 4, 0]),
    "huge text": descriptor(["x", "<U4294967295", 0]),
    "huge bytes": descriptor(["x", "|V4294967295", 0], itemsize=4294967295),
    "an empty unit": descriptor(["x", "<M8[0s]", 0]),
    "a negative offset": descriptor(["x", "<f4", -4]),
    "an offset beyond": descriptor(["x", "<f4", 5]),
    "a huge offset": descriptor(["x", "<f4", 2**64]),
    "an offset with a point": descriptor(["x", "<f4", 0.0]),
    "an offset that is a truth": descriptor(["x", "<f4", True]),
    "not a number": b'{"fields":[["x","<f4",NaN]],"itemsize":8}',
    "infinite": b'{"fields":[["x","<f4",0]],"itemsize":Infinity}',
    "many digits": b'{"fields":[["x","<f4",' + b"9" * 5000 + b']],"itemsize":8}',
    "another size": descriptor(X, itemsize=12),
    "a negative size": descriptor(itemsize=-8),
    "extents that are none": descriptor(["x", ["<f4", 2], 0]),
    "a negative extent": descriptor(["x", ["<f4", [-2]], 0]),
    "huge extents": descriptor(["x", ["<f4", [2**31, 2**31, 2**31]], 0]),
    "many extents": descriptor(["x", ["<f4", [1] * 100], 0]),
    "a sub-array of sub-arrays": descriptor(["x", [["<f4", [2]], [1]], 0]),
    "not aligned": descriptor(["x", "<f4", 1], aligned=True),
    "a base of another size": descriptor(X, base="<i4"),
    "a base that is a struct": descriptor(X, base={"fields": [], "itemsize": 8}),
    "another long double": descriptor(X, longdouble="vax"),
    "deep lists": b"[" * 60000,
    "deep structs": b'{"fields":[["x",' * 4000,
    "deep and closed": b'{"fields":[["x",' * 33 + b'"|u1"' + b',0]],"itemsize":8}' * 33,
}


@pytest.mark.parametrize("blob", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_descriptors(blob):
    with pytest.raises(TypeError, match="structured dtype of tensor 'x' cannot be read") as e:
        _structs.restore(blob, 8, "x87", "x")
    assert len(str(e.value)) < 1000


@pytest.mark.parametrize("blob", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_descriptors_in_a_store(store, monkeypatch, blob):
    monkeypatch.setattr(_structs, "describe", lambda dtype, longdouble: (blob, "struct{odd}"))
    data = np.zeros(3, [("a%d" % id(blob), "f8")])  # not met before
    for call in (
        lambda: store.create("x", data),
        lambda: store.attach("x"),
        lambda: store.attach("x", dtype="f8"),
        lambda: store.attach("x", mode="c"),
    ):
        with pytest.raises(TypeError, match="structured dtype of tensor 'x' cannot be read"):
            call()
    record = store.list()[0]
    assert record.dtype == "struct{odd}" and record.holders == 0 and record.nbytes == 24
    store.create("x", np.zeros(3))
    assert store.check() == []


@pytest.mark.parametrize(
    "blob, dtype",
    [
        (descriptor(X), {"names": ["x"], "formats": ["f4"], "offsets": [0], "itemsize": 8}),
        (descriptor(X, comment="of a newer library", aligned=False), {"names": ["x"], "formats": ["f4"], "itemsize": 8}),
        (b' {"itemsize" : 8, "fields" : [["\\u00e9", "<i1", 7]] }', {"names": ["\u00e9"], "formats": ["i1"], "offsets": [7]}),
        (descriptor(["x", ["<f4", []], 0], itemsize=8, longdouble="x87"), {"names": ["x"], "formats": ["f4"], "itemsize": 8}),
    ],
    ids=["plain", "unknown members", "spaces and escapes", "no extents"],
)
def test_foreign_descriptors(blob, dtype):
    assert _structs.restore(blob, 8, "x87") == np.dtype(dtype)


def test_shown():
    """The name for people: fields as far as they fit, ASCII."""
    for dtype in STRUCTS.values():
        text = _structs.describe(dtype, "x87")[1]
        assert text.startswith("struct") and len(text.encode()) <= 31 and text.isprintable()
    names = {n: _structs.describe(STRUCTS[n], "x87")[1] for n in STRUCTS}
    assert names["one"] == "struct{x:f4}" and names["many"] == "struct of 1000 fields"
    assert names["order of names"] == "struct{z:f4,a:i8,m:u1}" and names["unicode"] == "struct of 6 fields"
    assert names["nested"] == "struct{a:{b:{c:>i2,d:S3},e:f8}}" and names["sub-arrays"] == "struct{a,b,c,d,e}"
