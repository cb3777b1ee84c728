"""The interface of the SharedArray package, over a store.

    import zero_copy_tensor_ipc.compat.sharedarray as sa    # was: import SharedArray as sa

Arrays are tensors of the default store, under the name behind "shm://". They last until delete(): a process that ends
takes none with it, and create() never replaces one. list() tells of all tensors of the store.

"file://" names are refused: an array in a file of a disk is numpy.lib.format.open_memmap's, which any process can open.
"""

import builtins
from typing import Any, NamedTuple, Tuple, Union

import numpy as np
import numpy.typing as npt

from .. import _core
from .._core import SharedTensor

__all__ = ["MS_ASYNC", "MS_INVALIDATE", "MS_SYNC", "attach", "create", "delete", "list", "mlock", "msync", "munlock"]

MS_ASYNC = 1
MS_INVALIDATE = 2
MS_SYNC = 4


class SharedArrayObject(NamedTuple):
    """What list() tells of an array: its name, dtype and dims, in elements."""

    name: str
    dtype: Any
    dims: Tuple[int, ...]


def _tensor_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError("an array's name must be a str, not %s" % type(name).__name__)
    if name.startswith("file://"):
        raise ValueError("%r is in a file, not in shared memory: use numpy.lib.format.open_memmap() for it" % name)
    return name[len("shm://") :] if name.startswith("shm://") else name


def create(name: str, shape: Union[int, Tuple[int, ...]], dtype: npt.DTypeLike = float) -> SharedTensor:
    """Make an array of zeros under a name.

    name: "shm://NAME", or NAME. shape: in elements. Raises FileExistsError, ValueError, TypeError, OSError (ENOSPC).

    >>> a = create("shm://doc/test", (2, 2))
    >>> b = attach("shm://doc/test")
    >>> a[0, 0] = 42
    >>> float(b[0, 0])
    42.0
    >>> delete("doc/test")
    >>> float(b[0, 0])
    42.0
    """
    return _core.zeros(shape, dtype, name=_tensor_name(name), lifetime="pinned")


def attach(name: str, ro: bool = False) -> SharedTensor:
    """The array of a name; with ro, read-only by the hardware. Raises FileNotFoundError.

    >>> with _core.create_shared_tensor("doc/any", np.ones(3)):  # any tensor of the store
    ...     attach("shm://doc/any", ro=True).flags.writeable
    False
    """
    return _core.attach_shared_tensor(_tensor_name(name), mode="r" if ro else None)


def delete(name: str) -> None:
    """End a name; whoever has the array keeps it. Raises FileNotFoundError.

    >>> a = create("doc/gone", 3)
    >>> delete("shm://doc/gone")
    >>> a.tolist()
    [0.0, 0.0, 0.0]
    """
    _core.unlink_shared_tensor(_tensor_name(name))


def list() -> "builtins.list[SharedArrayObject]":
    """The arrays of the store: (name, dtype, dims) of each.

    >>> a = create("doc/listed", (2, 3), np.int16)
    >>> [(x.name, x.dims) for x in list() if x.dtype == np.int16]
    [('doc/listed', (2, 3))]
    >>> delete("doc/listed")
    """
    return [SharedArrayObject(t.name, t.dtype, t.shape) for t in _core.list_shared_tensors()]


def _shared(array: npt.NDArray[Any]) -> None:
    if not getattr(array, "is_shared", False):
        raise ValueError("this array is not one of create() or attach()")


def msync(array: npt.NDArray[Any], flags: int) -> None:
    """Nothing: all processes see one memory, and there is no file behind it. Raises ValueError for any other array.

    >>> with _core.zeros(3, name="doc/s") as a:
    ...     msync(a, MS_SYNC)
    """
    _shared(array)
    if flags not in (MS_ASYNC, MS_SYNC, MS_ASYNC | MS_INVALIDATE, MS_SYNC | MS_INVALIDATE, MS_INVALIDATE):
        raise ValueError("flags must be of MS_ASYNC or MS_SYNC, and MS_INVALIDATE, not %r" % (flags,))


def _lock(array: npt.NDArray[Any], function: str) -> None:
    import ctypes
    import os

    _shared(array)
    libc = ctypes.CDLL(None, use_errno=True)
    low, high = np.lib.array_utils.byte_bounds(array) if hasattr(np.lib, "array_utils") else np.byte_bounds(array)  # type: ignore[attr-defined]
    if high > low and getattr(libc, function)(ctypes.c_void_p(low), ctypes.c_size_t(high - low)) != 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (function, os.strerror(ctypes.get_errno())))


def mlock(array: npt.NDArray[Any]) -> None:
    """Keep the array's pages in memory, as mlock(2): OSError beyond the limit of this process.

    >>> with _core.zeros(3, name="doc/l") as a:
    ...     mlock(a)
    ...     munlock(a)
    """
    _lock(array, "mlock")


def munlock(array: npt.NDArray[Any]) -> None:
    """The end of mlock().

    >>> with _core.zeros(3, name="doc/l") as a:
    ...     munlock(a)
    """
    _lock(array, "munlock")
