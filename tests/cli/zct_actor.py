"""A process that uses a store, steered by the tests of the command: it makes, holds, sends and dies.

The tests never join a store themselves. ``Actor`` starts this file as a program; it loads libzct.so by ctypes,
so that the command is tested without the Python package. One request a line, one answer a line, both JSON.
"""

import ctypes
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_DIMS = 64


def library_path():
    build = pathlib.Path(os.environ.get("ZCT_BUILD", ROOT / "build"))
    candidates = [os.environ.get("ZCT_LIB"), build / "lib/libzct.so", build / "meson/libzct.so"]
    for path in candidates:
        if path and os.path.exists(path):
            return str(path)
    return None


class Dtype(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("big_endian", ctypes.c_uint8),
        ("unit", ctypes.c_uint8),
        ("subbyte_padded", ctypes.c_uint8),
        ("reserved", ctypes.c_uint8),
        ("itemsize", ctypes.c_uint32),
        ("block_elems", ctypes.c_uint16),
        ("block_bytes", ctypes.c_uint16),
        ("multiplier", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
        ("name", ctypes.c_char * 32),
    ]


class Spec(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("dtype", Dtype),
        ("ndim", ctypes.c_int32),
        ("order", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("descriptor", ctypes.c_char_p),
        ("descriptor_len", ctypes.c_size_t),
        ("metadata", ctypes.c_char_p),
        ("metadata_len", ctypes.c_size_t),
    ]


class StoreOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("directory", ctypes.c_char_p),
        ("capacity", ctypes.c_uint64),
        ("max_names", ctypes.c_uint32),
        ("max_members", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    ]


class CreateOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("exists", ctypes.c_int32),
        ("lifetime", ctypes.c_int32),
        ("sealed", ctypes.c_int32),
        ("zero", ctypes.c_int32),
        ("timeout_ns", ctypes.c_int64),
    ]


LIFETIMES = {"persistent": 0, "pinned": 1, "owner": 2, "last": 3}
EXISTS = {"error": 0, "replace": 1, "attach": 2}
ORDERS = {"C": 0, "F": 1}


class Member:
    """The actor's side: the requests, one method each."""

    def __init__(self, store, capacity, max_names):
        self.zct = ctypes.CDLL(library_path())
        self.zct.zct_last_error.restype = ctypes.c_char_p
        self.tensors = {}
        self.handles = []
        self.store = ctypes.c_void_p()
        options = StoreOptions(size=ctypes.sizeof(StoreOptions), capacity=capacity, max_names=max_names)
        name = store.encode() if store else None
        self.did(self.zct.zct_store_open(name, ctypes.byref(options), ctypes.byref(self.store)))

    def did(self, result):
        if result < 0:
            raise OSError(-result, self.zct.zct_last_error().decode(errors="replace"))
        return result

    def create(
        self,
        name,
        shape=(),
        lifetime="persistent",
        sealed=False,
        order="C",
        exists="error",
        big_endian=False,
        metadata="",
        descriptor="",
    ):
        shape = list(shape)
        dtype = Dtype(code=2, bits=32, lanes=1, itemsize=4, big_endian=big_endian, name=b"float32")
        spec = Spec(size=ctypes.sizeof(Spec), dtype=dtype, ndim=len(shape), order=ORDERS[order])
        if descriptor:
            spec.dtype.code, spec.dtype.bits, spec.dtype.name = 0x84, 0, b"struct"
            spec.descriptor, spec.descriptor_len = descriptor.encode(), len(descriptor.encode())
        spec.metadata, spec.metadata_len = metadata.encode(), len(metadata.encode())
        spec.shape = (ctypes.c_int64 * MAX_DIMS)(*shape)
        options = CreateOptions(
            size=ctypes.sizeof(CreateOptions),
            exists=EXISTS[exists],
            lifetime=LIFETIMES[lifetime],
            sealed=sealed,
            zero=1,
        )
        tensor = ctypes.c_void_p()
        raw = name.encode("utf-8", "surrogateescape") if name is not None else None
        note = self.did(
            self.zct.zct_create(self.store, raw, ctypes.byref(spec), None, None, ctypes.byref(options), ctypes.byref(tensor))
        )
        self.tensors.setdefault(name, []).append(tensor)
        return note

    def attach(self, name):
        tensor = ctypes.c_void_p()
        self.did(self.zct.zct_attach(self.store, name.encode(), 0, ctypes.c_int64(0), ctypes.byref(tensor)))
        self.tensors.setdefault(name, []).append(tensor)

    def release(self, name):
        self.zct.zct_release(self.tensors[name].pop())

    def many(self, count, prefix="t"):
        for i in range(count):
            name = f"{prefix}{i}"
            self.create(name, [1])
            self.release(name)

    def send(self, name):
        """Make a reference that nobody takes."""
        handle = ctypes.create_string_buffer(64)
        self.did(self.zct.zct_handle_make(self.tensors[name][-1], handle))
        self.handles.append(handle)

    def unlink(self, name):
        self.did(self.zct.zct_unlink(self.store, name.encode()))

    def close(self):
        for tensors in self.tensors.values():
            for tensor in tensors:
                self.zct.zct_release(tensor)
        self.tensors.clear()
        self.zct.zct_store_close(self.store)


def serve():
    member = Member(**json.loads(sys.stdin.readline()))
    print(json.dumps({"result": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(member, request["do"])(*request["args"], **request["kwargs"])}
        except OSError as error:
            answer = {"error": [error.errno, error.strerror]}
        print(json.dumps(answer), flush=True)
        if request["do"] == "close":
            break


class Actor:
    """The test's side: ``actor.create("w", [2, 3])`` and so on happen in the other process."""

    def __init__(self, env, store=None, capacity=0, max_names=0):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**env, "ZCT_LIB": library_path()},
        )
        self.pid = self._ask({"store": store, "capacity": capacity, "max_names": max_names})

    def _ask(self, request):
        self._tell(request)
        return self._hear()

    def _tell(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def _hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the actor ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(*answer["error"])
        return answer["result"]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._ask({"do": name, "args": args, "kwargs": kwargs})

    def meanwhile(self, name, *args):
        """Begin a request; calling the result waits for its answer."""
        self._tell({"do": name, "args": args, "kwargs": {}})
        return self._hear

    def leave(self):
        """Let go of everything, leave the store, end."""
        self.close()
        self._end()

    def kill(self):
        self.process.kill()
        self._end()

    def _end(self):
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    serve()
