"""Handles that nobody made: forged with a good checksum, of another store, of another host, of another kind of file. Each gets
a clear error, and the store stays as it was."""

import os
import pickle
import struct

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc import _core

M = (1 << 64) - 1
LAYOUT = struct.Struct("<16sQQIHHII")  # docs/FORMAT.md: store, serial, ticket, desc, slot, index, mode, check
FIELDS = ["store", "serial", "ticket", "desc", "slot", "index", "mode", "check"]


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M
    return x ^ (x >> 31)


def check_of(raw):
    x = 0x7A6374
    for i, word in enumerate(struct.unpack("<5Q", raw[:40])):
        x = (mix(x ^ word) + i) & M
    return mix(x ^ struct.unpack("<I", raw[40:44])[0]) & 0xFFFFFFFF


def forged(raw, **changes):
    """The handle with other fields, and a checksum that is right."""
    fields = dict(zip(FIELDS, LAYOUT.unpack(raw)), **changes)
    raw = LAYOUT.pack(*[fields[f] for f in FIELDS])
    return raw[:44] + struct.pack("<I", check_of(raw))


@pytest.fixture
def made(store):
    """A tensor, and what a handle of it is pickled as: the function and (bytes, store's path, name, part)."""
    t = store.create("x", np.arange(6.0))
    rebuild, state = t.handle.__reduce__()
    assert rebuild is _core._rebuild_handle and len(state[0]) == LAYOUT.size
    yield t, state
    assert t.tolist() == [0, 1, 2, 3, 4, 5]


def attach(raw, path, name="x", part=None):
    return _core._rebuild_handle(raw, path, name, part).attach()


def test_the_forger_can_forge(made):
    t, (raw, path, name, part) = made
    assert forged(raw) == raw
    assert np.shares_memory(attach(forged(raw, mode=0), path), t)


@pytest.mark.parametrize(
    "changes",
    [
        {"serial": 0},
        {"serial": 2},
        {"serial": M},
        {"ticket": 0},
        {"ticket": M},
        {"desc": 1},
        {"desc": 63},
        {"desc": 2**31},
        {"desc": 2**32 - 1},
        {"slot": 1},
        {"slot": 65535},
        {"index": 5},
        {"index": 65535},
        {"mode": 4},
        {"mode": 2**32 - 1},
        {"store": b"\0" * 16},
        {"store": b"\xff" * 16},
    ],
    ids=str,
)
def test_forged(made, changes):
    """A false serial, tensor or store is refused; a false ticket is no ticket, and the tensor is there by another hold."""
    t, (raw, path, name, part) = made
    try:
        w = attach(forged(raw, **changes), path)
    except (zct.TensorNotFoundError, ValueError) as error:
        assert str(error)
    else:
        assert set(changes) <= {"ticket", "slot", "index"} and np.shares_memory(w, t) and w.name == "x"


def test_stale_generation(store, made):
    """The name lives on with another tensor: an old handle never gets that."""
    t, (raw, path, name, part) = made
    sent = pickle.dumps(t.handle)
    old = zct.Store.attach(store, "x").generation
    for i in range(5):
        u = store.create("x", np.full(6, i), exists="replace")
    assert u.generation == old + 5
    assert pickle.loads(sent).attach().tolist() == [0, 1, 2, 3, 4, 5]  # while somebody holds the old one


def test_of_a_tensor_that_has_ended(store):
    t = store.create("x", np.arange(6.0))
    sent = pickle.dumps(t.handle)
    assert pickle.loads(sent).attach().sum() == 15  # its ticket is taken
    store.unlink("x")
    del t
    others = [store.create("y%d" % i, np.zeros(6)) for i in range(20)]
    for _ in range(2):
        with pytest.raises(zct.TensorNotFoundError, match="gone from store 't'") as e:
            pickle.loads(sent).attach()
        assert e.value.errno == 2 and e.value.store == "t"
    assert not any(o.any() for o in others)


def test_of_another_store(directory, made):
    t, (raw, path, name, part) = made
    with zct.Store("other", directory=directory, capacity=1 << 20) as other:
        u = other.create("x", np.zeros(3))
        with pytest.raises(zct.TensorNotFoundError, match="'x'|store"):
            attach(raw, other.path)
        assert not u.any() and other.check() == []


def test_of_another_host(made, directory):
    t, (raw, path, name, part) = made
    for missing in ("/nonexistent/zct1-0-default", directory + "/zct1-0-missing", "missing"):
        with pytest.raises(zct.TensorNotFoundError, match="not on this machine"):
            attach(raw, missing)
    assert not os.path.exists(directory + "/zct1-0-missing")  # and none is made


def test_of_other_files(made, directory, tmp_path):
    t, (raw, path, name, part) = made
    text, empty, fifo, link = [str(tmp_path / n) for n in ("text", "empty", "fifo", "link")]
    with open(text, "w") as f:
        f.write("no store " * 10000)
    open(empty, "w").close()
    os.mkfifo(fifo)
    os.symlink(link, link)
    for other in (text, empty, fifo, link, str(tmp_path), "/dev/zero", "/dev/null", "/proc/self/mem", "/" + "x" * 300):
        with pytest.raises((zct.Error, OSError, ValueError)) as e:
            attach(raw, other)
        assert str(e.value) and e.type is not OSError
    for bad in ("", "a\0b", "\udc80", "x" * 5000):
        with pytest.raises(ValueError):
            attach(raw, bad)


@pytest.mark.parametrize("name", ["", "\udc80", "x" * 10000, "\0", "%s%n"])
def test_names_are_for_sentences_alone(made, name):
    t, (raw, path, _, part) = made
    assert np.shares_memory(attach(raw, path, name), t)
    with pytest.raises((ValueError, zct.TensorNotFoundError)) as e:
        attach(forged(raw, serial=M), path, name)
    assert not isinstance(e.value, UnicodeError)


F8 = np.dtype("f8")
PARTS = {
    "before": (-8, (1,), (8,), F8, True),
    "behind": (48, (1,), (8,), F8, True),
    "over the end": (0, (7,), (8,), F8, True),
    "backwards": (0, (2,), (-8,), F8, True),
    "long steps": (0, (2,), (2**62,), F8, True),
    "many": (0, (2**62,), (8,), F8, True),
    "an offset of 2**63": (2**63, (1,), (8,), F8, True),
    "a stride of 2**63": (0, (1,), (2**63,), F8, True),
    "an extent of 2**64": (0, (2**64,), (8,), F8, True),
    "a negative extent": (0, (-1,), (8,), F8, True),
    "too few strides": (0, (1, 1), (8,), F8, True),
    "too many dimensions": (0, (1,) * 65, (0,) * 65, F8, True),
    "a large dtype": (0, (1,), (0,), np.dtype("V49"), True),
    "objects": (0, (1,), (8,), np.dtype("O"), True),
    "a field of objects": (0, (1,), (8,), np.dtype([("a", "O")]), True),
    "no dtype": (0, (1,), (8,), "f8", True),
    "no shape": (0, None, (8,), F8, True),
    "a shape of text": (0, "ab", (0, 0), F8, True),
    "no strides": (0, (1,), None, F8, True),
    "strides of text": (0, (1,), ("8",), F8, True),
    "short": (0,),
    "nothing": (),
    "no tuple": 3,
    "a list": [0, (1,), (8,), F8, True],
}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_parts_that_are_none(store, made, part):
    t, (raw, path, name, _) = made
    with pytest.raises((ValueError, TypeError)) as e:
        attach(raw, path, name, PARTS[part])
    assert str(e.value)
    assert t.holders == 1 and store.check() == []


def test_a_part_of_no_more_than_the_tensor(made):
    t, (raw, path, name, _) = made
    assert attach(raw, path, name, (8, (2, 2), (8, 16), F8, True)).tolist() == [[1, 3], [2, 4]]
    assert attach(raw, path, name, (40, (3,), (-16,), F8, False)).tolist() == [5, 3, 1]
    assert attach(raw, path, name, (0, (3,), (16,), np.dtype(("f8", (2,))), True)).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_read_only_attachment_has_no_writable_part(store):
    t = store.create("x", np.arange(6.0), seal=True)
    raw, path, name, _ = t.handle.__reduce__()[1]
    w = attach(raw, path, name, (0, (3,), (8,), F8, True))
    assert not w.flags.writeable
    with pytest.raises(ValueError):
        w.setflags(write=True)
