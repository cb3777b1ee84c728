"""Files by hand, good ones and bad ones, for the tests of load and save."""

import json
import struct

import numpy as np


def safetensors(tensors, header=None, data=None):
    """The bytes of a file. tensors: name -> (dtype, shape, bytes); `header` and `data` replace what these make."""
    entries, content = {}, b""
    for name, (dtype, shape, part) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(content), len(content) + len(part)]}
        content += part
    text = json.dumps(entries).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + (content if data is None else data)


def parse_safetensors(raw):
    """The format read by hand, its rules checked: name -> (dtype, shape, bytes)."""
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data, tensors, end = raw[8 + length :], {}, 0
    assert length % 8 == 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        assert begin == end
        end = stop
        tensors[name] = (entry["dtype"], entry["shape"], data[begin:stop])
    assert end == len(data)
    return tensors


def npy(descr="<f4", shape=(2, 3), data=bytes(24), version=(1, 0), header=None, order=False):
    """The bytes of a file, as NumPy would make them or not."""
    text = header if header is not None else repr({"descr": descr, "fortran_order": order, "shape": shape}).encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def every_dtype():
    """name -> array: each of NumPy's dtypes that can be shared, in both byte orders, in C and F order."""
    arrays = {}
    plain = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "g", "G"]
    flexible = ["S5", "U3", "V7", "M8[ns]", "M8[25s]", "M8", "m8[D]", "m8"]
    random = np.random.default_rng(0)
    for dtype in plain + flexible:
        for byteorder in "<>":
            kind = np.dtype(dtype).newbyteorder(byteorder)
            if kind.kind == "U":
                array = np.array([chr(97 + i % 26) * (i % 4) for i in range(24)], kind)
            elif kind.kind == "V":
                array = np.frombuffer(random.bytes(24 * 7), kind)
            elif kind.kind in "mM":
                array = random.integers(-(2**40), 2**40, 24).astype("i8").view("i8").astype(kind)
            else:
                array = random.integers(0, 100, 24).astype(kind)
            array = array.reshape(2, 3, 4)
            label = f"{dtype}{'big' if byteorder == '>' else ''}"
            arrays[label] = array
            arrays[label + " F"] = np.asfortranarray(array)
    arrays["scalar"] = np.array(2.5)
    arrays["empty"] = np.zeros((0, 3), "i2")
    arrays["row"] = np.arange(5.0)
    inner = [("a", "u1"), ("b", "S3")]
    arrays["struct"] = np.array(
        [(1, 2.5, [[1, 2], [3, 4]], (7, b"x"))] * 3, [("x", "i4"), ("caf\u00e9", ">f8"), ("m", "i2", (2, 2)), ("in", inner)]
    )
    arrays["padded"] = np.zeros(3, np.dtype([("a", "u1"), ("b", "f8"), ("c", "u1")], align=True))
    arrays["titled"] = np.zeros(2, [(("a title", "x"), "f4"), ("y", "g")])
    arrays["greek"] = np.zeros(3, [("\u03bb", "f4"), ("it's", "f4")])
    return arrays


def same(left, right):
    """Equal in all that a file keeps; padding within structs is not kept."""
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and left.flags.f_contiguous == right.flags.f_contiguous
        and (left.tobytes() == right.tobytes() or str(left.tolist()) == str(right.tolist()))
    )
