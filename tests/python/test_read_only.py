"""Read-only pages: no way that NumPy has makes them writable, so that a mistake is an exception and never a signal."""

import faulthandler
import os
import pickle
import signal

import numpy as np
import pytest

REFUSALS = (ValueError, TypeError, BufferError, AttributeError, OSError)


class Interface:
    """What any library can be to NumPy: an object that says where its memory is."""

    def __init__(self, t, name):
        setattr(self, name, getattr(t, name))
        self.keep = t


def set_data(t):
    a = t.array
    a.data = memoryview(t)
    a[0] = 1


# Each tries to write to t, a read-only tensor of five float64 (or, behind it, to s: five of a structured dtype).
WAYS = {
    "item": lambda t, s: t.__setitem__(0, 1),
    "slice": lambda t, s: t.__setitem__(slice(None), 1),
    "flat": lambda t, s: t.flat.__setitem__(0, 1),
    "itself": lambda t, s: t.setflags(write=True),
    "flags": lambda t, s: setattr(t.flags, "writeable", True),
    "flags by name": lambda t, s: t.flags.__setitem__("W", True),
    "slice of it": lambda t, s: t[1:].setflags(write=True),
    "element as an array": lambda t, s: t[0:1].reshape(()).setflags(write=True),
    "view": lambda t, s: t.view().setflags(write=True),
    "plain view": lambda t, s: t.view(np.ndarray).setflags(write=True),
    "view of another dtype": lambda t, s: t.view("u1").setflags(write=True),
    "view chain": lambda t, s: t[::2].view("u8")[::-1].view(np.ndarray)[1:].reshape(-1, 1).T.setflags(write=True),
    "record view": lambda t, s: t.view([("x", "f8")]).view(np.recarray).setflags(write=True),
    "field": lambda t, s: s["x"].setflags(write=True),
    "field of a record": lambda t, s: setattr(s.view(np.recarray)[0], "x", 1),
    "element's field": lambda t, s: s[0].__setitem__("x", 1),
    "element's setfield": lambda t, s: s[0].setfield(1, "f4"),
    "element's sub-array": lambda t, s: s[0]["y"].setflags(write=True),
    "array of an element": lambda t, s: np.asarray(s[0]).setflags(write=True),
    "buffer of an element": lambda t, s: np.frombuffer(s[0], "u1").setflags(write=True),
    "real": lambda t, s: t.real.setflags(write=True),
    "transposed": lambda t, s: t.T.setflags(write=True),
    "asarray": lambda t, s: np.asarray(t).setflags(write=True),
    "asanyarray": lambda t, s: np.asanyarray(t).setflags(write=True),
    "array": lambda t, s: t.array.setflags(write=True),
    "array of it, not copied": lambda t, s: np.ma.array(t, copy=False).data.setflags(write=True),
    "frombuffer": lambda t, s: np.frombuffer(t, t.dtype).setflags(write=True),
    "frombuffer of a memoryview": lambda t, s: np.frombuffer(memoryview(t), t.dtype).setflags(write=True),
    "frombuffer of bytes": lambda t, s: np.frombuffer(memoryview(t).cast("B"), "u1").setflags(write=True),
    "frombuffer of the base": lambda t, s: np.frombuffer(t.base).setflags(write=True),
    "ndarray on it": lambda t, s: np.ndarray((5,), "f8", t).setflags(write=True),
    "ndarray on the base": lambda t, s: np.ndarray((5,), "f8", t.base).setflags(write=True),
    "ndarray on a memoryview": lambda t, s: np.ndarray((5,), "f8", memoryview(t)).setflags(write=True),
    "as_strided": lambda t, s: np.lib.stride_tricks.as_strided(t, (2,), (8,)).setflags(write=True),
    "as_strided, writeable": lambda t, s: np.lib.stride_tricks.as_strided(t, (2,), (8,), writeable=True).setflags(write=True),
    "broadcast_to": lambda t, s: np.broadcast_to(t, (3, 5), subok=True).setflags(write=True),
    "broadcast_arrays": lambda t, s: np.broadcast_arrays(t, t)[0].setflags(write=True),
    "nditer": lambda t, s: np.nditer(t, op_flags=["readwrite"]),
    "array interface": lambda t, s: np.asarray(Interface(t, "__array_interface__")).setflags(write=True),
    "array struct": lambda t, s: np.asarray(Interface(t, "__array_struct__")).setflags(write=True),
    "memoryview": lambda t, s: memoryview(t).__setitem__(0, 1.0),
    "memoryview of the base": lambda t, s: memoryview(t.base).__setitem__(0, 1),
    "asarray of a memoryview": lambda t, s: np.asarray(memoryview(t)).setflags(write=True),
    "data": lambda t, s: np.asarray(t.data).setflags(write=True),
    "pickle buffer": lambda t, s: memoryview(pickle.PickleBuffer(t)).cast("B").__setitem__(0, 1),
    "readinto": lambda t, s: open(os.devnull, "rb", buffering=0).readinto(t),
    "out": lambda t, s: np.add(t, 1, out=t),
    "out of a slice": lambda t, s: np.add(t[1:], 1, out=t[1:]),
    "in place": lambda t, s: t.__iadd__(1),
    "copyto": lambda t, s: np.copyto(t, 1),
    "put": lambda t, s: t.put([0], 1),
    "place": lambda t, s: np.place(t, [True] * 5, 1),
    "putmask": lambda t, s: np.putmask(t, [True] * 5, 1),
    "fill": lambda t, s: t.fill(1),
    "sort": lambda t, s: t.sort(),
    "partition": lambda t, s: t.partition(2),
    "byteswap": lambda t, s: t.byteswap(True),
    "fill_diagonal": lambda t, s: np.fill_diagonal(t[:4].reshape(2, 2), 1),
    "shuffle": lambda t, s: np.random.shuffle(t),
    "random out": lambda t, s: np.random.default_rng(0).random(out=t),
    "setfield": lambda t, s: t.setfield(1, "f8"),
    "resize": lambda t, s: t.resize((6,), refcheck=False),
}


@pytest.fixture
def read_only(store):
    data = store.create("t", np.arange(5.0))
    structs = store.create("s", np.zeros(5, [("x", "f4"), ("y", "i4", (3,))]))
    return data, structs, store.attach("t", mode="r"), store.attach("s", mode="r")


@pytest.mark.parametrize("way", sorted(WAYS))
def test_no_way_to_write(read_only, in_child, way):
    data, structs, t, s = read_only
    assert not t.flags.writeable and t.mode == "r"

    def try_it():  # in a child: if it can be done, it is a signal
        with pytest.raises(REFUSALS):
            WAYS[way](t, s)
            pytest.fail("nobody minded")
        assert not t.flags.writeable and not s.flags.writeable

    in_child(try_it)
    assert t.tolist() == [0, 1, 2, 3, 4] and not np.frombuffer(structs, "u1").any()
    data[0] = structs["x"][1] = 7
    assert t[0] == 7 and s["x"][1] == 7  # it is the same memory


# NumPy's own faults: the way, and the version from which it looks at the flag.
FAULTS = {
    "ufunc.at": (lambda t: np.add.at(t, [0], 1), (2, 5)),
    "array.data = buffer": (set_data, (2, 0)),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_where_numpy_looks_at_no_flag(read_only, fault):
    """Then the pages do: the process ends, the tensor is what it was."""
    data, _, t, _ = read_only
    way, mended = FAULTS[fault]
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        try:
            way(t)
        except (ValueError, AttributeError):
            os._exit(0)
        os._exit(1)
    status = os.waitpid(pid, 0)[1]
    looks = tuple(map(int, np.__version__.split(".")[:2])) >= mended
    assert status == 0 or (not looks and status & 0x7F == signal.SIGSEGV)
    assert data.tolist() == [0, 1, 2, 3, 4]


def test_a_copy_where_numpy_makes_one(read_only):
    data, _, t, _ = read_only
    for copy in (np.require(t, requirements="W"), t.copy(), np.array(t), pickle.loads(pickle.dumps(t))):
        copy[0] = 9
        assert copy.flags.writeable and not np.shares_memory(copy, t) and data[0] == 0


def test_sealed_tensors_too(store, in_child):
    t = store.create("x", np.arange(5.0), seal=True)
    s = store.create("s", np.zeros(5, [("x", "f4"), ("y", "i4", (3,))]), seal=True)

    def try_them():
        for way in WAYS.values():
            with pytest.raises(REFUSALS):
                way(t, s)
                pytest.fail("nobody minded")

    in_child(try_them)
    assert t.tolist() == [0, 1, 2, 3, 4]


def test_by_handle_too(store):
    store.create("x", np.arange(5.0), lifetime="pinned")
    t = store.attach("x", mode="r")
    for part in (t, t[1:], t.view("u8")):
        w = pickle.loads(pickle.dumps(part.handle)).attach()
        assert w.mode == "r" and not w.flags.writeable
        with pytest.raises(ValueError):
            w.setflags(write=True)


def test_read_only_for_the_hardware(store, python):
    store.create("x", np.arange(5.0), lifetime="pinned")
    python(
        """
        import ctypes, os, signal, sys
        import zero_copy_tensor_ipc as zct
        t = zct.attach_shared_tensor("x", mode="r", store="t")
        pid = os.fork()
        if pid == 0:
            import faulthandler
            faulthandler.disable()
            ctypes.memset(t.ctypes.data, 1, 8)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] & 0x7F == signal.SIGSEGV
        assert t[0] == 0
        """
    )
