import os
import sys
from types import TracebackType
from typing import Any, Iterable, List, Optional, Tuple, Type, Union

import numpy as np
import numpy.typing as npt
from _typeshed import structseq
from typing_extensions import Final, Literal, SupportsIndex, final

_Shape = Union[SupportsIndex, "Tuple[SupportsIndex, ...]", List[int]]
_Mode = Optional[Literal["r", "r+", "c"]]
_Exists = Literal["error", "replace", "attach", "owned"]
_Lifetime = Literal["persistent", "pinned", "owner", "last"]
_Order = Optional[Literal["C", "F", "A", "K"]]
_StoreLike = Union["Store", str, None]
_Path = Union[str, bytes, "os.PathLike[str]"]

__version__: str

class Error(Exception):
    errno: Optional[int]
    filename: Any
    store: Optional[str]

class TensorNotFoundError(Error, FileNotFoundError): ...
class TensorReplacedError(TensorNotFoundError): ...
class TensorExistsError(Error, FileExistsError): ...
class StoreFullError(Error, OSError): ...
class TooManyMembersError(Error, OSError): ...
class TooManyHandlesError(Error, OSError): ...
class StoreBusyError(Error, OSError): ...
class NotAttachedError(Error, OSError): ...
class StoreVersionError(Error, OSError): ...
class StoreCorruptError(Error, OSError): ...
class StoreGoneError(Error, OSError): ...
class ClosedError(Error, ValueError): ...
class WriterDiedError(Error, RuntimeError): ...

@final
class SharedTensor(np.ndarray[Any, np.dtype[Any]]):
    def __array_prepare__(self, *args: Any) -> Any: ...
    @property
    def name(self) -> Optional[str]: ...
    @property
    def store(self) -> Optional[Store]: ...
    @property
    def generation(self) -> Optional[int]: ...
    @property
    def version(self) -> Optional[int]: ...
    @property
    def mode(self) -> _Mode: ...
    @property
    def sealed(self) -> bool: ...
    @property
    def holders(self) -> int: ...
    @property
    def is_shared(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def handle(self) -> Handle: ...
    @property
    def array(self) -> npt.NDArray[Any]: ...
    def close(self) -> None: ...
    def unlink(self) -> None: ...
    def posix_location(self) -> PosixLocation: ...
    def seal(self) -> None: ...
    def commit(self) -> int: ...
    def wait(self, newer_than: Optional[SupportsIndex] = None, timeout: Optional[float] = None) -> int: ...
    def __enter__(self) -> SharedTensor: ...
    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]] = ...,
        exc: Optional[BaseException] = ...,
        traceback: Optional[TracebackType] = ...,
    ) -> Literal[False]: ...

@final
class Handle:
    @property
    def name(self) -> Optional[str]: ...
    @property
    def store_path(self) -> str: ...
    def attach(self, mode: _Mode = None) -> SharedTensor: ...

@final
class TensorInfo(structseq[Any], Tuple[str, Any, Tuple[int, ...], int, int, int]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = ("name", "dtype", "shape", "nbytes", "generation", "holders")
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def shape(self) -> Tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def holders(self) -> int: ...
    @property
    def handles(self) -> int: ...
    @property
    def lifetime(self) -> _Lifetime: ...
    @property
    def sealed(self) -> bool: ...
    @property
    def created(self) -> float: ...

@final
class StoreStats(structseq[Any], Tuple[int, ...]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = (
            "capacity",
            "used",
            "high",
            "resident",
            "warm_free",
            "max_names",
            "names",
            "max_members",
            "members",
            "nameless",
            "handles",
            "births",
            "rebuilds",
            "reaped",
        )
    @property
    def capacity(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def high(self) -> int: ...
    @property
    def resident(self) -> int: ...
    @property
    def warm_free(self) -> int: ...
    @property
    def max_names(self) -> int: ...
    @property
    def names(self) -> int: ...
    @property
    def max_members(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def nameless(self) -> int: ...
    @property
    def handles(self) -> int: ...
    @property
    def births(self) -> int: ...
    @property
    def rebuilds(self) -> int: ...
    @property
    def reaped(self) -> int: ...

@final
class GcResult(structseq[Any], Tuple[int, int, int]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = ("members", "tensors", "handles")
    @property
    def members(self) -> int: ...
    @property
    def tensors(self) -> int: ...
    @property
    def handles(self) -> int: ...

@final
class StoreInfo(structseq[Any], Tuple[str, str]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = ("name", "path")
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...

@final
class PosixLocation(structseq[Any], Tuple[str, int, int]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = ("path", "offset", "nbytes")
    @property
    def path(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

@final
class Store:
    def __new__(
        cls,
        name: Optional[_Path] = None,
        *,
        capacity: Optional[int] = None,
        directory: Optional[_Path] = None,
        mode: int = 0o600,
        max_names: Optional[int] = None,
        max_members: Optional[int] = None,
    ) -> Store: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def capacity(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def create(
        self,
        name: str,
        data: npt.ArrayLike,
        *,
        dtype: Optional[npt.DTypeLike] = None,
        order: _Order = None,
        exists: _Exists = "error",
        copy: Optional[bool] = None,
        lifetime: _Lifetime = "persistent",
        seal: bool = False,
    ) -> SharedTensor: ...
    def attach(
        self,
        name: str,
        shape: Optional[_Shape] = None,
        dtype: Optional[npt.DTypeLike] = None,
        *,
        mode: _Mode = None,
        timeout: Optional[float] = 0,
    ) -> SharedTensor: ...
    def unlink(self, name: str, *, missing_ok: bool = False) -> None: ...
    def list(self) -> List[TensorInfo]: ...
    def stats(self) -> StoreStats: ...
    def check(self) -> List[str]: ...
    def gc(
        self, *, unheld: bool = False, older_than: Optional[float] = None, handles: Optional[float] = None
    ) -> GcResult: ...
    def trim(self, keep: int = 0) -> int: ...
    def close(self) -> None: ...
    @staticmethod
    def destroy(name: _Path, *, directory: Optional[_Path] = None) -> None: ...
    @staticmethod
    def list_stores(directory: Optional[_Path] = None) -> List[StoreInfo]: ...
    def __enter__(self) -> Store: ...
    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]] = ...,
        exc: Optional[BaseException] = ...,
        traceback: Optional[TracebackType] = ...,
    ) -> Literal[False]: ...

@final
class numpy_allocator:
    def __new__(cls, store: _StoreLike = None, min_bytes: int = 65536) -> numpy_allocator: ...
    @property
    def refused(self) -> int: ...
    def __enter__(self) -> numpy_allocator: ...
    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]] = ...,
        exc: Optional[BaseException] = ...,
        traceback: Optional[TracebackType] = ...,
    ) -> Literal[False]: ...
    def _install(self) -> None: ...

def create_shared_tensor(
    name: str,
    data: npt.ArrayLike,
    *,
    store: _StoreLike = None,
    dtype: Optional[npt.DTypeLike] = None,
    order: _Order = None,
    exists: _Exists = "error",
    copy: Optional[bool] = None,
    lifetime: _Lifetime = "persistent",
    seal: bool = False,
) -> SharedTensor: ...
def attach_shared_tensor(
    name: str,
    shape: Optional[_Shape] = None,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    mode: _Mode = None,
    store: _StoreLike = None,
    timeout: Optional[float] = 0,
) -> SharedTensor: ...
def attach_posix(
    name: str,
    shape: _Shape,
    dtype: npt.DTypeLike,
    *,
    offset: int = 0,
    mode: Literal["r", "r+", "c"] = "r+",
) -> npt.NDArray[Any]: ...
def unlink_shared_tensor(name: str, *, store: _StoreLike = None, missing_ok: bool = False) -> None: ...
def wait_any(
    tensors: Iterable[SharedTensor],
    newer_than: Optional[Iterable[SupportsIndex]] = None,
    timeout: Optional[float] = None,
) -> int: ...
def _bell(store: Store) -> int: ...
def _bell_wait(store: Store, heard: int) -> None: ...
def _bell_ring(store: Store) -> None: ...
def _listen(tensor: SharedTensor, newer_than: int) -> Optional[int]: ...
def list_shared_tensors(store: _StoreLike = None) -> List[TensorInfo]: ...
def _wait_names(store: Store, seen: Optional[int], /) -> int: ...
def _wake_names(store: Store, /) -> None: ...
def empty(
    shape: _Shape,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    order: _Order = "C",
    name: Optional[str] = None,
    store: _StoreLike = None,
    exists: _Exists = "error",
    lifetime: _Lifetime = "persistent",
) -> SharedTensor: ...
def zeros(
    shape: _Shape,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    order: _Order = "C",
    name: Optional[str] = None,
    store: _StoreLike = None,
    exists: _Exists = "error",
    lifetime: _Lifetime = "persistent",
) -> SharedTensor: ...
def ones(
    shape: _Shape,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    order: _Order = "C",
    name: Optional[str] = None,
    store: _StoreLike = None,
    exists: _Exists = "error",
    lifetime: _Lifetime = "persistent",
) -> SharedTensor: ...
def full(
    shape: _Shape,
    fill_value: npt.ArrayLike,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    order: _Order = "C",
    name: Optional[str] = None,
    store: _StoreLike = None,
    exists: _Exists = "error",
    lifetime: _Lifetime = "persistent",
) -> SharedTensor: ...
def empty_like(
    prototype: npt.ArrayLike,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    shape: Optional[_Shape] = None,
    order: _Order = "K",
    name: Optional[str] = None,
    store: _StoreLike = None,
    exists: _Exists = "error",
    lifetime: _Lifetime = "persistent",
) -> SharedTensor: ...
