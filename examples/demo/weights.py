"""Model weights from a safetensors file into a store, with one copy: file pages -> shared memory.

The format: eight bytes (little-endian) for the length of a JSON header, the header, the bytes of the tensors.
The header gives each tensor's dtype, shape and place; `read` lays arrays over the mapped file, nothing is read
until somebody copies them.
"""

import json
import math
import mmap
import os

import numpy as np

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8", "BOOL": "?",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
# What NumPy has no dtype for keeps its shape and its bits, as unsigned integers of the same size ...
RAW = {"BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1", "F8_E8M0": "u1", "F8_E4M3FNUZ": "u1", "F8_E5M2FNUZ": "u1"}
HEADER_LIMIT = 100 << 20  # of the format's own specification


class NotSafetensors(ValueError):
    pass


def read(path):
    """Lay arrays over a safetensors file. Returns {name: read-only array} and {name: dtype that became raw}."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, HEADER_LIMIT):
            raise NotSafetensors(f"{path} is not a safetensors file: it does not begin with the length of a header")
        try:
            header = dict(json.loads(file.read(length)).items())
        except (ValueError, AttributeError) as error:
            raise NotSafetensors(f"{path} is not a safetensors file: its header is not a JSON object") from error
        header.pop("__metadata__", None)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays, raw = {}, {}
    for name, entry in header.items():
        try:
            kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            nbytes = end - begin
            if not isinstance(kind, str):
                raise TypeError(kind)
            whole = all(type(n) is int and n >= 0 for n in (*shape, begin, nbytes)) and 8 + length + end <= size
        except (KeyError, TypeError, ValueError) as error:
            raise NotSafetensors(f"{path}: the header's entry for {name!r} is malformed") from error
        if kind not in DTYPES:
            raw[name] = kind
        dtype = DTYPES.get(kind) or RAW.get(kind)
        if dtype is None:  # ... and what is new, or packed below a byte, is shared as a plain row of bytes.
            dtype, shape = "u1", (nbytes,)
        if not whole or math.prod(shape) * np.dtype(dtype).itemsize != nbytes:
            raise NotSafetensors(f"{path}: {name!r} ({kind} {list(shape)}) does not fit its place in the file")
        arrays[name] = np.ndarray(shape, dtype, buffer=data, offset=8 + length + begin) if nbytes else np.empty(shape, dtype)
    return arrays, raw


def load(path, store):
    """Copy every tensor of the file into `store`, each once. Returns the shared arrays and what became raw."""
    arrays, raw = read(path)
    if not arrays:
        raise NotSafetensors(f"{path} holds no tensors")
    return {name: store.create(name, array, exists="replace") for name, array in arrays.items()}, raw
