"""zct head: the values of tensors of every dtype, whole and in part."""

import re
import struct

import files
import numpy as np
import pytest


@pytest.fixture
def put(zct, tmp_path):
    """``put(array)`` loads it as the tensor "x", in place of the one before."""

    def put(array):
        np.save(tmp_path / "x.npy", array)
        zct("load", "--exists", "replace", str(tmp_path / "x.npy"))

    return put


def body(zct, *arguments):
    return zct("head", *arguments, "x").stdout.split("\n", 1)[1].rstrip("\n")


def values(zct, *arguments):
    (tensor,) = zct.json("head", *arguments, "x")["tensors"]
    return tensor["values"]


def test_text_is_laid_out_as_numpy_does(zct, put):
    for shape in [(), (1,), (5,), (0,), (2, 3), (0, 3), (2, 3, 4), (2, 1, 3, 2)]:
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        put(array)
        want = str(array) if array.size else None
        if want is not None:
            assert body(zct) == want, shape
        assert values(zct) == array.tolist()


def test_of_a_large_one_both_ends_are_shown(zct, put):
    for shape in [(5000,), (100, 200), (20, 30, 40), (1000, 2)]:
        array = np.arange(np.prod(shape)).reshape(shape)
        put(array)
        assert body(zct) == str(array), shape
    put(np.arange(10000).reshape(100, 100))
    (tensor,) = zct.json("head", "x")["tensors"]
    assert tensor["shape"] == tensor["part"] == [100, 100]
    assert tensor["shown"] == [[[0, 3], [97, 100]]] * 2
    ends = np.r_[0:3, 97:100]
    assert tensor["values"] == np.arange(10000).reshape(100, 100)[np.ix_(ends, ends)].tolist()


def test_how_much_is_shown(zct, put):
    put(np.arange(2000))
    assert values(zct, "-n", "2") == [0, 1, 1998, 1999]
    assert values(zct, "--all") == list(range(2000))
    assert len(values(zct)) == 6
    put(np.arange(7))
    assert values(zct, "-n", "2") == [0, 1, 5, 6]
    assert values(zct, "-n", "4") == list(range(7))
    assert body(zct, "-n", "1") == "[0 ... 6]"


def test_long_rows_are_broken_and_columns_stand_in_line(zct, put):
    put(np.arange(300, dtype=np.float64) - 150)
    lines = body(zct).split("\n")
    assert len(lines) > 10 and all(len(line) <= 80 for line in lines)
    assert len({len(line) for line in lines[:-1]}) == 1
    assert [float(word) for word in body(zct).strip("[]").split()] == list(range(-150, 150))


INDEXES = ["0", "-1", "1:3", "::2", "::-1", "4:1:-2", ":,0", "...,1", "1,...", "0,5:10,:", ":, 2:4 ,-1", "10:", "...", ""]


NO_INDEXES = ["a", "1:2:3:4", "::0", "1 2", ",", "9" * 30, "...,...", "...0", "0,"]


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_index_means_what_it_means_in_numpy(zct, put, index, order):
    array = np.asarray(np.arange(6 * 7 * 5).reshape(6, 7, 5), order=order)
    put(array)
    want = eval(f"array[{index}]") if index else array
    (tensor,) = zct.json("head", "--all", "--index", index, "x")["tensors"]
    assert tensor["values"] == want.tolist() and tensor["part"] == list(want.shape) and tensor["index"] == index


@pytest.mark.parametrize(("index", "code"), [("6", 1), ("-7", 1), ("0,0,0,0", 1), *((word, 2) for word in NO_INDEXES)])
def test_an_index_that_is_none(zct, put, index, code):
    put(np.zeros((6, 7, 5)))
    done = zct("head", "--index", index, "x", code=code)
    assert done.stdout == "" and done.stderr.startswith("zct: ")
    assert zct.json("head", "--index", index, "x", code=code)["tensors"][0]["error"] == "ZCT_EINVAL"


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("byteorder", "<>")
def test_integers(zct, put, dtype, byteorder):
    bounds = np.iinfo(dtype)
    array = np.array([bounds.min, bounds.max, 0, 1], byteorder + dtype)
    put(array)
    assert values(zct) == [bounds.min, bounds.max, 0, 1]
    assert body(zct).strip("[]").split() == [str(bounds.min), str(bounds.max), "0", "1"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
@pytest.mark.parametrize("byteorder", "<>")
def test_floats_have_the_shortest_text_that_means_them(zct, put, dtype, byteorder):
    limits = np.finfo(dtype)
    kind = np.dtype(dtype).type
    with np.errstate(all="ignore"):
        plain = np.array([kind("0.1"), kind(1) / 3, 1.0, -2.5, 100, 12345, kind("1e-5"), 0, limits.tiny], dtype)
        if dtype != "g":  # NumPy does not read the text that means its own largest one
            plain = np.append(plain, limits.max)
        random = np.frombuffer(np.random.default_rng(1).bytes(400 * 8), "f8").astype(dtype)
    array = np.concatenate([plain, random[np.isfinite(random)]]).astype(np.dtype(dtype).newbyteorder(byteorder))
    put(array)
    words = body(zct, "--all").strip("[]").split()
    back = np.array([kind(word) for word in words])
    assert np.array_equal(back, array)
    third = np.format_float_positional(kind(1) / 3)
    assert words[:8] == ["0.1", third, "1.0", "-2.5", "100.0", words[5], "1e-05", "0.0"]
    shortest = [np.format_float_scientific(value, trim="-").split("e")[0] for value in array.astype(dtype)]
    digits = [len(mantissa.lstrip("-").replace(".", "")) for mantissa in shortest]
    for word, most in zip(words, digits):
        mantissa = word.split("e")[0].lstrip("-")
        if "e" in word or abs(float(word)) < 1000:  # integers are written out
            assert len(mantissa.replace(".", "").strip("0")) <= most, word


def test_what_is_no_number(zct, put):
    put(np.array([np.nan, np.inf, -np.inf, -0.0]))
    assert body(zct).split() == ["[", "nan", "inf", "-inf", "-0.0]"]
    assert values(zct) == ["nan", "inf", "-inf", 0.0]
    put(np.array([1 + 2j, complex(np.nan, -np.inf)], "c8"))
    assert body(zct) == "[(1.0+2.0j) (nan-infj)]"
    assert values(zct) == [[1.0, 2.0], ["nan", "-inf"]]


def test_truths_texts_and_bytes(zct, put):
    put(np.array([True, False]))
    assert body(zct) == "[ True False]" and values(zct) == [True, False]
    words = ["", "a", "it's", "caf\u00e9", "\U0001f600", "\x1b[2J", "a\\b"]
    for byteorder in "<>":
        put(np.array(words, byteorder + "U6"))
        assert values(zct) == words
        assert "\x1b" not in body(zct)
        shown = body(zct).replace("\n", " ").split()[1:]
        assert shown == ["''", "'a'", r"'it\'s'", "'caf\u00e9'", "'\U0001f600'", r"'\x1b[2J'", r"'a\\b']"]
    put(np.array([b"", b"a\0b", b"\xff'\n"], "S3"))
    assert values(zct) == ["", "a\0b", "\u00ff'\n"]
    assert body(zct).strip("[]").split() == ["b''", r"b'a\x00b'", r"b'\xff\'\x0a'"]
    put(np.array([b"\x01\x02\xfe"], "V3"))
    assert body(zct) == "[0x0102fe]" and values(zct) == ["0102fe"]


UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s", "7D", "3M"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("byteorder", "<>")
def test_moments(zct, put, unit, byteorder):
    ticks = np.array([0, 1, -1, 59, -719529, 123456789, 951782400, np.iinfo("i8").min])
    moments = ticks.astype(f"{byteorder}M8[{unit}]")
    put(moments)
    known = [None if word == "NaT" else word for word in np.datetime_as_string(moments.astype(f"M8[{unit}]")).tolist()]
    for mine, numpys in zip(values(zct), known):
        if numpys is None or re.match(r"\d{4}(-|$)", numpys):  # far years NumPy writes in a way of its own
            assert mine == numpys
        else:
            assert int(re.match(r"-?\d+", mine)[0]) == int(re.match(r"-?\d+", numpys)[0])
    put(ticks.astype(f"{byteorder}m8[{unit}]"))
    assert values(zct) == [*ticks[:-1].tolist(), None]


def test_moments_without_a_unit(zct, put):
    put(np.array([5, np.iinfo("i8").min]).view("M8"))
    assert body(zct).split() == ["[", "5", "NaT]"]


def test_structs(zct, put):
    inner = np.dtype([("a", "u1"), ("b", "S3")])
    dtype = np.dtype([("x", ">i4"), ("m", "<f8", (2, 2)), ("in", inner), ("rows", inner, (2,)), ("when", "M8[D]")], align=True)
    array = np.zeros(2, dtype)
    array["x"] = [-7, 8]
    array["m"][0] = [[1, 2], [3, 4.5]]
    array["in"][1] = (9, b"xyz")
    array["rows"]["a"][0] = [1, 2]
    put(array)
    assert body(zct, "--index", "0") == "(-7, [[1.0 2.0] [3.0 4.5]], (0, b''), [(1, b'') (2, b'')], 1970-01-01)"
    assert values(zct)[1] == [8, [[0.0, 0.0], [0.0, 0.0]], [9, "xyz"], [[0, ""], [0, ""]], "1970-01-01"]


@pytest.mark.parametrize(
    "descriptor",
    [
        "not json",
        "[]",
        '{"fields":[["x","<f4",0]],"itemsize":8}',
        '{"fields":[["x","<f8",0]],"itemsize":4}',
        '{"fields":[["x","<f4",4]],"itemsize":4}',
        '{"fields":[["x","<f4",18446744073709551615]],"itemsize":4}',
        '{"fields":[["x",["<f4",[4294967295,4294967295]],0]],"itemsize":4}',
        '{"fields":[["x","O",0]],"itemsize":4}',
        '{"fields":[[]],"itemsize":4}',
        '{"fields":' + "[" * 5000,
    ],
)
def test_a_descriptor_that_lies_is_not_believed(zct, descriptor):
    zct.actor().create("x", [2], descriptor=descriptor)
    assert body(zct) == "[0x00000000 0x00000000]"


SMALL_FLOATS = {  # what their bits mean is written down in the formats' own papers
    "BF16": ("<H", [(0x3F80, "1.0"), (0xC049, "-3.14"), (0x7F80, "inf"), (0x7FC0, "nan"), (0x0001, "9e-41")]),
    "F8_E4M3": ("<B", [(0x38, "1.0"), (0x7E, "448.0"), (0x7F, "nan"), (0x01, "0.002"), (0x80, "-0.0")]),
    "F8_E5M2": ("<B", [(0x3C, "1.0"), (0x7B, "57344.0"), (0x7C, "inf"), (0x7D, "nan"), (0x01, "2e-05")]),
    "F8_E8M0": ("<B", [(0x7F, "1.0"), (0x80, "2.0"), (0xFF, "nan")]),
}


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_small_floats(zct, tmp_path, dtype):
    code, pairs = SMALL_FLOATS[dtype]
    raw = b"".join(struct.pack(code, bits) for bits, _ in pairs)
    (tmp_path / "x").write_bytes(files.safetensors({"x": (dtype, [len(pairs)], raw)}))
    zct("load", str(tmp_path / "x"))
    assert body(zct).strip("[]").split() == [text for _, text in pairs]


def test_floats_packed_below_a_byte(zct, tmp_path):
    fours = [0, 1, 2, 3, 4, 5, 6, 7, 8, 15]
    packed = bytes(low | high << 4 for low, high in zip(fours[::2], fours[1::2]))
    sixes = [0b000001, 0b001000, 0b011111, 0b111111]
    number = sum(six << 6 * i for i, six in enumerate(sixes))
    tensors = {"f4": ("F4", [2, 5], packed), "f6": ("F6_E2M3", [4], number.to_bytes(3, "little"))}
    (tmp_path / "x").write_bytes(files.safetensors(tensors))
    zct("load", str(tmp_path / "x"))
    four, six = zct.json("head", "f4", "f6")["tensors"]
    assert four["values"] == [[0.0, 0.5, 1.0, 1.5, 2.0], [3.0, 4.0, 6.0, -0.0, -6.0]]
    assert six["values"] == [0.1, 1.0, 7.5, -7.5]  # 0.125, of which its neighbours are further away
    assert zct.json("head", "--index", "1,::-2", "f4")["tensors"][0]["values"] == [-6.0, 6.0, 3.0]


def test_several_names_and_a_missing_one(zct, put):
    put(np.arange(3))
    done = zct("head", "x", "nothing", "x", code=1)
    assert done.stdout.count("[0 1 2]") == 2 and "nothing" in done.stderr
    tensors = zct.json("head", "x", "nothing", code=1)["tensors"]
    assert tensors[0]["values"] == [0, 1, 2] and tensors[1] == {"name": "nothing", "error": "ZCT_ENOTFOUND"}


def test_the_heading_escapes_names(zct):
    zct.actor().create("a\n\x1b[2J", [1])
    assert zct("head", "a\n\x1b[2J").stdout.startswith(r"a\n\x1b[2J  float32 1, 4 B")


def test_many_dimensions(zct, put):
    array = np.arange(2**10).reshape((2,) * 10)
    put(array)
    assert body(zct) == str(array)
    assert values(zct, "--all") == array.tolist()
