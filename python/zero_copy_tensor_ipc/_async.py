"""attach_async and SharedTensor.wait_async: waiting for a name, or for a version, in an event loop, without polling."""

from typing import Any, Optional, Sequence, Union

import numpy.typing as npt

from . import _core
from ._core import SharedTensor, Store, StoreGoneError, TensorNotFoundError, attach_shared_tensor
from ._watch import Watch, check_timeout, wait_for


def _open(key: Any) -> Store:
    return key if isinstance(key, Store) else Store(key)


class _Names(Watch):
    """A name came to the store of a `store=` argument."""

    name = "zct attach_async"

    def __init__(self, key: Any) -> None:
        super().__init__(key)
        self.store = _open(key)

    def sleep(self, seen: Optional[int]) -> Optional[int]:
        try:
            return _core._wait_names(self.store, seen)
        except StoreGoneError:
            if isinstance(self.key, Store):
                raise
            self.store = _open(self.key)  # as a call with store=None or a name does
            return None

    def wake(self) -> None:
        _core._wake_names(self.store)


class _Membership:
    """This process's membership in a store, whatever Store object it was found through: what has one doorbell."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.identity = _core._store_identity(store)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Membership) and other.identity == self.identity

    def __hash__(self) -> int:
        return hash(self.identity)


class _Versions(Watch):
    """The doorbell rang: a tensor that somebody listens to has a new version, or lost its name."""

    name = "zct wait_async"

    def sleep(self, seen: Optional[int]) -> Optional[int]:
        if seen is not None:
            _core._bell_wait(self.key.store, seen)
        return _core._bell(self.key.store)

    def wake(self) -> None:
        _core._bell_ring(self.key.store)


async def attach_async(
    name: str,
    shape: Union[int, Sequence[int], None] = None,
    dtype: Optional[npt.DTypeLike] = None,
    *,
    mode: Optional[str] = None,
    store: Union[Store, str, None] = None,
    timeout: Optional[float] = None,
) -> SharedTensor:
    """Attach to a named tensor, and wait for it in the running event loop while it is not there.

    The arguments and errors are those of attach_shared_tensor(); timeout is in seconds, None waits for ever. The loop goes
    on meanwhile, nothing polls, and the wait can be cancelled.

    Raises TensorNotFoundError when the name did not come in time.

    >>> import asyncio
    >>> async def consumer():
    ...     return float((await attach_async("doc/late", timeout=60)).sum())
    >>> async def both():
    ...     waiting = asyncio.ensure_future(consumer())
    ...     await asyncio.sleep(0)
    ...     with create_shared_tensor("doc/late", np.ones(3)):
    ...         return await waiting
    >>> asyncio.run(both())
    3.0
    """
    check_timeout(timeout)

    def attach(timeout: float = 0) -> SharedTensor:
        return attach_shared_tensor(name, shape, dtype, mode=mode, store=store, timeout=timeout)  # type: ignore[arg-type]

    def look() -> Optional[SharedTensor]:
        try:
            return attach()
        except TensorNotFoundError:
            return None

    try:
        return attach()
    except TensorNotFoundError:
        if timeout == 0:
            raise
    tensor = await wait_for(look, _Names, store, timeout)
    return attach(1e-9) if tensor is None else tensor  # the last look, or the sentence about the timeout


async def wait_async(tensor: SharedTensor, newer_than: Optional[int] = None, timeout: Optional[float] = None) -> int:
    """SharedTensor.wait_async."""
    check_timeout(timeout)
    beyond = (tensor.version or 0) if newer_than is None else newer_than

    def look() -> Optional[int]:
        return _core._listen(tensor, beyond)

    version = look()
    store = tensor.store
    if version is None and timeout != 0 and store is not None:
        version = await wait_for(look, _Versions, _Membership(store), timeout)
    return tensor.wait(beyond, 0) if version is None else version  # the last look, or the sentence about the timeout
