"""attach_async: waiting for a name in an event loop, without polling.

A WATCH is one store that coroutines wait in, and the daemon thread that sleeps for all of them in the core until a name
comes to that store. It then looks for each WAITER's tensor and hands it to the waiter's loop. A watch ends with its last
waiter: one that was served, timed out or was cancelled.

A waiter is on its watch's list before it looks a last time itself, and the thread looks after each time it was told that
a name came: whichever way these two fall, a name that comes is seen.
"""

import asyncio
import atexit
import math
import os
import threading
from typing import Any, Callable, Dict, Optional, Sequence, Set, Union

import numpy.typing as npt

from . import _core
from ._core import SharedTensor, Store, StoreGoneError, TensorNotFoundError, attach_shared_tensor

_lock = threading.Lock()  # of all watches and their lists; nothing waits under it
_watches: Dict[Any, "_Watch"] = {}
_stopping = False


class _Waiter:
    """One coroutine: where its future is, and how its tensor is looked for."""

    def __init__(self, look: Callable[[], SharedTensor]) -> None:
        self.look = look
        self.loop = asyncio.get_running_loop()
        self.future: "asyncio.Future[Optional[SharedTensor]]" = self.loop.create_future()

    def settle(self, tensor: Optional[SharedTensor], error: Optional[BaseException] = None) -> None:
        """In the loop's thread. A future that was cancelled meanwhile lets the tensor go."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(tensor)
        else:
            self.future.set_exception(error)

    def settle_from_elsewhere(self, tensor: Optional[SharedTensor], error: Optional[BaseException] = None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.settle, tensor, error)
        except RuntimeError:
            pass  # the loop was closed: nobody waits any more

    def try_from_elsewhere(self) -> bool:
        try:
            tensor = self.look()
        except TensorNotFoundError:
            return False
        except Exception as error:  # whatever attach_shared_tensor would have raised there
            self.settle_from_elsewhere(None, error)
        else:
            self.settle_from_elsewhere(tensor)
        return True


class _Watch:
    def __init__(self, key: Any) -> None:
        self.key = key
        self.store = _open(key)
        self.waiters: Set[_Waiter] = set()
        self.thread = threading.Thread(target=self._run, name="zct attach_async", daemon=True)

    def _run(self) -> None:
        try:
            seen = self._sleep(None)
            while self._look():
                seen = self._sleep(seen)
        except Exception as error:
            for waiter in self._end():
                waiter.settle_from_elsewhere(None, error)

    def _sleep(self, seen: Optional[int]) -> Optional[int]:
        """Until names may have come since `seen`; at once for None."""
        try:
            return _core._wait_names(self.store, seen)
        except StoreGoneError:
            if isinstance(self.key, Store):
                raise
            self.store = _open(self.key)  # as a call with store=None or a name does
            return None

    def _look(self) -> bool:
        """Serve who can be served. False when nobody is left: the thread ends."""
        with _lock:
            waiters = set(self.waiters)
        done = {waiter for waiter in waiters if waiter.try_from_elsewhere()}
        with _lock:
            self.waiters -= done
            if self.waiters and not _stopping:
                return True
            self._forget()
            return False

    def _end(self) -> Set[_Waiter]:
        with _lock:
            waiters, self.waiters = self.waiters, set()
            self._forget()
            return waiters

    def _forget(self) -> None:
        """Under the lock: who comes from now on makes a new watch."""
        if _watches.get(self.key) is self:
            del _watches[self.key]


def _open(key: Any) -> Store:
    return key if isinstance(key, Store) else Store(key)


def _add(waiter: _Waiter, key: Any) -> _Watch:
    while True:
        fresh = None if key in _watches else _Watch(key)  # opening a store may wait: not under the lock
        with _lock:
            watch = _watches.get(key) or fresh
            if watch:
                watch.waiters.add(waiter)
                if watch is fresh:
                    _watches[key] = watch
                    watch.thread.start()
                return watch


def _remove(waiter: _Waiter, watch: _Watch) -> None:
    with _lock:
        waited = waiter in watch.waiters
        if waited:
            watch.waiters.remove(waiter)
        last = waited and not watch.waiters
    if last:
        _core._wake_names(watch.store)  # so that its thread ends


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
    if timeout is not None and not timeout >= 0:
        raise ValueError("timeout must be a number of seconds from 0 on, or None to wait for ever, not %r" % (timeout,))

    def look(timeout: float = 0) -> SharedTensor:
        return attach_shared_tensor(name, shape, dtype, mode=mode, store=store, timeout=timeout)  # type: ignore[arg-type]

    try:
        return look()
    except TensorNotFoundError:
        if timeout == 0:
            raise
    waiter = _Waiter(look)
    watch = _add(waiter, store)
    timer = None
    try:
        try:
            return look()
        except TensorNotFoundError:
            pass
        if timeout is not None and math.isfinite(timeout):
            timer = waiter.loop.call_later(timeout, waiter.settle, None)
        tensor = await waiter.future
        return look(1e-9) if tensor is None else tensor  # the last look, or the sentence about the timeout
    finally:
        if timer is not None:
            timer.cancel()
        _remove(waiter, watch)


def _at_exit() -> None:
    """The threads end before the interpreter does, so that the stores they wait in are left in order."""
    global _stopping
    _stopping = True
    with _lock:
        watches = list(_watches.values())
    for watch in watches:
        _core._wake_names(watch.store)
    for watch in watches:
        watch.thread.join(1)


def _in_child() -> None:
    """A forked child has neither the threads nor the loops of its parent."""
    global _lock
    _lock = threading.Lock()
    _watches.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
