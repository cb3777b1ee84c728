"""Named tensors in shared memory: any process attaches by name, in under a microsecond, without a copy.

>>> import numpy as np
>>> import zero_copy_tensor_ipc as zct
>>> t = zct.create_shared_tensor("doc/model_weights", np.ones((2, 3), np.float32))  # copies once
>>> w = zct.attach_shared_tensor("doc/model_weights")  # in any process: no copy
>>> w[0, 0] = 7
>>> float(t[0, 0])
7.0
>>> zct.unlink_shared_tensor("doc/model_weights")  # the memory lives until the last array over it is gone

A program joins a store at its first call, not at import. From outside: ZCT_STORE, ZCT_DIR and ZCT_CAPACITY say which
store is the default one and where it lies, ZCT_LOG=debug|info|warning writes the package's log to stderr,
ZCT_NUMPY_ALLOCATOR=1 puts the arrays that NumPy makes in the importing thread into the store.
"""

import os as _os
from importlib import import_module as _import_module

from ._core import (
    ClosedError,
    Error,
    GcResult,
    Handle,
    LockGuard,
    NotAttachedError,
    PosixLocation,
    SharedTensor,
    Store,
    StoreBusyError,
    StoreCorruptError,
    StoreFullError,
    StoreGoneError,
    StoreInfo,
    StoreStats,
    StoreVersionError,
    TensorExistsError,
    TensorInfo,
    TensorNotFoundError,
    TensorReplacedError,
    TooManyHandlesError,
    TooManyMembersError,
    WriterDiedError,
    __version__,
    attach_posix,
    attach_shared_tensor,
    create_shared_tensor,
    empty,
    empty_like,
    full,
    list_shared_tensors,
    numpy_allocator,
    ones,
    unlink_shared_tensor,
    wait_any,
    zeros,
)

__all__ = [
    "ClosedError",
    "Error",
    "GcResult",
    "Handle",
    "LockGuard",
    "NotAttachedError",
    "PosixLocation",
    "SharedTensor",
    "Store",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreFullError",
    "StoreGoneError",
    "StoreInfo",
    "StoreStats",
    "StoreVersionError",
    "TensorExistsError",
    "TensorInfo",
    "TensorNotFoundError",
    "TensorReplacedError",
    "TooManyHandlesError",
    "TooManyMembersError",
    "Versioned",
    "WriterDiedError",
    "__version__",
    "attach_async",
    "attach_posix",
    "attach_shared_tensor",
    "create_shared_tensor",
    "empty",
    "empty_like",
    "full",
    "list_shared_tensors",
    "numpy_allocator",
    "ones",
    "unlink_shared_tensor",
    "wait_any",
    "zeros",
]

# What costs as much to import as the rest together.
_LATE = {"Versioned": "._versioned", "attach_async": "._async", "compat": ".compat"}


def __getattr__(name):
    if name not in _LATE:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    module = _import_module(_LATE[name], __name__)
    value = globals()[name] = getattr(module, name, module)
    return value


def __dir__():
    return sorted(set(globals()) | set(_LATE))


if _os.environ.get("ZCT_NUMPY_ALLOCATOR") == "1":
    numpy_allocator()._install()
