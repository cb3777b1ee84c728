"""The interface of multiprocessing.shared_memory, over a store.

    from zero_copy_tensor_ipc.compat import shared_memory    # was: from multiprocessing import shared_memory

A segment is a tensor of bytes in the default store (ZCT_STORE, ZCT_DIR and ZCT_CAPACITY choose it), under the segment's
name; attach_shared_tensor(name) sees the same bytes. What differs from the standard library is what hurts there:

- No resource tracker. A process that attaches to a segment and exits takes it from nobody; a process that makes one,
  hands its name on and exits does not either. A name lasts until unlink().
- What killed processes leave behind blocks nobody. A segment is a leftover once the process that made it has gone and
  no other has it: creating that name again replaces it, leftovers without a name of the user's own are given back when
  the store is full, and `zct gc --unheld` gives back all. track=False makes a segment that never is a leftover.
- close() never fails, and an array over buf that outlives it stays valid: the memory goes with the last of them.
- A full file system is StoreFullError (an OSError, ENOSPC), never a SIGBUS at the first write.
- A ShareableList gives strings and bytes back with the NULs at their end.
"""

import os
import re
import time
from typing import TYPE_CHECKING, Any, Optional, Tuple

import numpy as np

from .. import _core
from .._core import SharedTensor, StoreFullError, TensorExistsError

if TYPE_CHECKING:
    from ._managers import SharedMemoryManager as SharedMemoryManager
    from ._shareable_list import ShareableList as ShareableList

__all__ = ["ShareableList", "SharedMemory", "SharedMemoryManager"]

_PREFIX = "psm_"
_OWN_NAME = re.compile(_PREFIX + "[0-9a-f]{16}$")
_ABANDONED = 60  # seconds: a leftover that is younger may still be on its way to somebody


class SharedMemory:
    """A named block of bytes that several processes have, as multiprocessing.shared_memory.SharedMemory.

    name: None lets create=True choose one. size: bytes, of a new one; its contents are zeros. track: with False, the
    segment never counts as a leftover (see the module).

    Raises FileExistsError, FileNotFoundError, ValueError, OSError (ENOSPC).

    >>> shm = SharedMemory(create=True, size=10)
    >>> shm.buf[0] = 7
    >>> other = SharedMemory(name=shm.name)
    >>> other.size, other.buf[0]
    (10, 7)
    >>> other.close()
    >>> shm.close(); shm.unlink()
    """

    _name: str
    _tensor: Optional[SharedTensor]
    _buf: Optional[memoryview]

    def __init__(self, name: Optional[str] = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create and size == 0:
            raise ValueError("'size' must be a positive number different from zero")
        if name is None and not create:
            raise ValueError("'name' can only be None if create=True")
        if create:
            self._create(name, size, "persistent" if track else "pinned")
        else:
            assert name is not None
            self._use(name, _core.attach_shared_tensor(_tensor_name(name)))

    @classmethod
    def _made(cls, size: int, lifetime: str) -> "SharedMemory":
        """A new one without a name of the user's, of another lifetime."""
        self = cls.__new__(cls)
        self._create(None, size, lifetime)
        return self

    def _create(self, name: Optional[str], size: int, lifetime: str) -> None:
        while True:
            chosen = _PREFIX + os.urandom(8).hex() if name is None else name
            try:
                self._use(chosen, _zeros(_tensor_name(chosen), size, lifetime))
                return
            except TensorExistsError:
                if name is not None:
                    raise

    def _use(self, name: str, tensor: SharedTensor) -> None:
        self._name = name
        self._tensor = tensor
        self._size = tensor.nbytes
        hold: Any = tensor.base
        self._buf = memoryview(hold)  # of its bytes, whatever its dtype and shape are

    def __reduce__(self) -> Tuple[Any, ...]:
        return (self.__class__, (self.name, False, self.size))

    def __repr__(self) -> str:
        return "%s(%r, size=%d)" % (self.__class__.__name__, self.name, self.size)

    @property
    def buf(self) -> Optional[memoryview]:
        """The bytes, for reading and writing; None after close()."""
        return self._buf

    @property
    def name(self) -> str:
        """The name that other processes attach by."""
        return self._name

    @property
    def size(self) -> int:
        """How many bytes it has: those that were asked for."""
        return self._size

    def close(self) -> None:
        """Let go of it here. What was made of buf stays valid; the memory goes with the last of that."""
        self._buf = None
        self._tensor = None

    def unlink(self) -> None:
        """End the name, for all; whoever has the segment keeps it. A second time it is FileNotFoundError."""
        _core.unlink_shared_tensor(_tensor_name(self._name))


def _tensor_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError("a segment's name must be a str, not %s" % type(name).__name__)
    if "\0" in name:
        raise ValueError("embedded null character")
    return name.lstrip("/")  # as shm_open does


def _zeros(name: str, size: int, lifetime: str) -> SharedTensor:
    try:
        return _core.zeros(size, np.uint8, name=name, exists="owned", lifetime=lifetime)  # type: ignore[arg-type]
    except StoreFullError:
        if not _give_back_leftovers():
            raise
    return _core.zeros(size, np.uint8, name=name, exists="owned", lifetime=lifetime)  # type: ignore[arg-type]


def _give_back_leftovers() -> int:
    """End the segments under names of ours that nobody has and whose makers have gone; how many."""
    ended = 0
    for tensor in _core.list_shared_tensors():
        old = time.time() - tensor.created > _ABANDONED
        if old and _OWN_NAME.match(tensor.name) and not tensor.holders and tensor.lifetime == "persistent":
            try:  # "owned" takes the name if that is true still, at this very moment; "last" gives it back
                _core.zeros(0, np.uint8, name=tensor.name, exists="owned", lifetime="last")
                ended += 1
            except (TensorExistsError, StoreFullError):
                continue
    return ended


def __getattr__(name: str) -> Any:
    # The manager needs most of multiprocessing, the list needs a SharedMemory: both are imported when they are asked for.
    if name == "ShareableList":
        from ._shareable_list import ShareableList as value
    elif name == "SharedMemoryManager":
        from ._managers import SharedMemoryManager as value  # type: ignore[assignment]
    else:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    globals()[name] = value
    return value
