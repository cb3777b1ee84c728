"""The demo's safetensors reader: every dtype, and files that are none."""

import json
import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples" / "demo"))

import weights  # noqa: E402


def write(path, entries, blank=0):
    """A safetensors file of {name: (dtype, shape, bytes)}; `blank` shifts the data off its alignment."""
    header, body = {"__metadata__": {"made": "by a test"}}, b""
    for name, (dtype, shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode() + b" " * blank
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize("kind", sorted(weights.DTYPES))
@pytest.mark.parametrize("blank", [0, 3])
def test_every_dtype(tmp_path, kind, blank):
    data = np.arange(6).reshape(2, 3).astype(weights.DTYPES[kind])
    path = write(tmp_path / "f", {"first": ("U8", [1], b"x"), "a/b": (kind, [2, 3], data.tobytes())}, blank)
    arrays, raw = weights.read(path)
    assert list(arrays) == ["first", "a/b"] and not raw
    assert arrays["a/b"].dtype == data.dtype and np.array_equal(arrays["a/b"], data)
    assert not arrays["a/b"].flags.writeable


@pytest.mark.parametrize("kind, shape, stand_in", [
    ("BF16", (2, 3), np.uint16), ("F8_E4M3", (12,), np.uint8), ("F4", (12,), np.uint8), ("FROM_2031", (12,), np.uint8),
])  # fmt: skip
def test_what_numpy_lacks_keeps_its_bits_and_is_reported(tmp_path, kind, shape, stand_in):
    said = {"BF16": [2, 3], "F8_E4M3": [12]}.get(kind, [4, 6])
    arrays, raw = weights.read(write(tmp_path / "f", {"x": (kind, said, bytes(range(12)))}))
    assert raw == {"x": kind}
    assert arrays["x"].dtype == stand_in and arrays["x"].shape == shape
    assert arrays["x"].tobytes() == bytes(range(12))


def test_scalars_and_nothing(tmp_path):
    one = np.float32(1.5).tobytes()
    arrays, _ = weights.read(write(tmp_path / "f", {"scalar": ("F32", [], one), "none": ("F32", [0, 3], b"")}))
    assert arrays["scalar"] == 1.5 and arrays["scalar"].shape == ()
    assert arrays["none"].shape == (0, 3)


HEADERS = [b"[1, 2]", b"{", b"5", b"\xff\xff", b'{"x": 5}', b'{"x": {"dtype": "F32"}}',
           b'{"x": {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}}',
           b'{"x": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}',
           b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
           b'{"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
           b'{"x": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}',
           b'{"x": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}']  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [b"", b"\x10\0\0", b"\xff" * 64, bytes(64)] + [len(h).to_bytes(8, "little") + h + bytes(4) for h in HEADERS],
)
def test_files_that_are_none(tmp_path, content):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(weights.NotSafetensors, match="f"):
        weights.read(path)
