"""The error classes: what they are, what they carry, how they read."""

import errno
import pickle

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

CLASSES = {
    "TensorNotFoundError": FileNotFoundError,
    "TensorReplacedError": FileNotFoundError,
    "TensorExistsError": FileExistsError,
    "StoreFullError": OSError,
    "TooManyMembersError": OSError,
    "TooManyHandlesError": OSError,
    "StoreBusyError": OSError,
    "NotAttachedError": OSError,
    "StoreVersionError": OSError,
    "StoreCorruptError": OSError,
    "StoreGoneError": OSError,
    "ClosedError": ValueError,
    "WriterDiedError": RuntimeError,
}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes(name):
    cls = getattr(zct, name)
    assert issubclass(cls, CLASSES[name]) and issubclass(cls, zct.Error)
    assert cls.__module__ == "zero_copy_tensor_ipc" and cls.__doc__


@pytest.fixture
def error(store):
    store.create("x", np.zeros(3), lifetime="pinned")
    with pytest.raises(zct.TensorExistsError) as e:
        store.create("x", np.zeros(3))
    return e.value


def test_what_they_carry(error):
    assert error.errno == errno.EEXIST and error.filename == "x" and error.store == "t"
    assert str(error) == error.strerror and "'x'" in str(error) and "Errno" not in str(error)


def test_they_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert (again.errno, again.filename, again.store) == (error.errno, error.filename, error.store)


def test_built_ins_carry_it_too(store):
    store.create("x", np.zeros(3))
    with pytest.raises(ValueError) as e:
        store.attach("x", (4,))
    assert e.value.filename == "x" and e.value.store == "t" and isinstance(e.value.errno, int)


def test_sentences_say_what_to_do(store, directory):
    with pytest.raises(zct.TensorNotFoundError) as e:
        store.attach("nope")
    assert "'nope'" in str(e.value) and "'t'" in str(e.value) and len(str(e.value)) > 30
    with pytest.raises(zct.StoreFullError) as e:
        store.create("big", np.zeros(80 << 20, np.uint8))
    assert "capacity" in str(e.value)


def test_python_made_ones_work():
    e = zct.TensorNotFoundError("just text")
    assert str(e) == "just text" and e.store is None
    assert str(zct.ClosedError()) == ""
