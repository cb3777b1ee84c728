"""What waits for event loops: one daemon thread for each store and kind of event that coroutines wait for.

A WATCH is such a thread and the WAITERS that it serves. It sleeps in the core until something happened, then looks for each
waiter, and hands what it found to the waiter's loop. A watch ends with its last waiter: one that was served, timed out or was
cancelled.

A waiter is on its watch's list before it looks a last time itself, and the thread looks after each time it was told: whichever
way these two fall, what comes is seen.
"""

import asyncio
import atexit
import math
import os
import threading
from typing import Any, Callable, Dict, Optional, Set, Tuple, Type

_lock = threading.Lock()  # of all watches and their lists; nothing waits under it
watches: Dict[Tuple[Any, Any], "Watch"] = {}
_stopping = False


class Waiter:
    """One coroutine: where its future is, and how what it waits for is looked for (None: not there yet)."""

    def __init__(self, look: Callable[[], Optional[Any]]) -> None:
        self.look = look
        self.loop = asyncio.get_running_loop()
        self.future: "asyncio.Future[Optional[Any]]" = self.loop.create_future()

    def settle(self, value: Optional[Any], error: Optional[BaseException] = None) -> None:
        """In the loop's thread. A future that was cancelled meanwhile lets the value go."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)

    def settle_from_elsewhere(self, value: Optional[Any], error: Optional[BaseException] = None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.settle, value, error)
        except RuntimeError:
            pass  # the loop was closed: nobody waits any more

    def try_from_elsewhere(self) -> bool:
        try:
            value = self.look()
        except Exception as error:  # whatever it would have raised there
            self.settle_from_elsewhere(None, error)
            return True
        if value is not None:
            self.settle_from_elsewhere(value)
        return value is not None


class Watch:
    """Made with what opening its store may take, and started when it is on the list."""

    name = "zct watch"

    def __init__(self, key: Any) -> None:
        self.key = key
        self.waiters: Set[Waiter] = set()
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def sleep(self, seen: Optional[int]) -> Optional[int]:
        """Until something may have happened since `seen`, which the last sleep returned; at once for None."""
        raise NotImplementedError

    def wake(self) -> None:
        """End the sleep."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            seen = self.sleep(None)
            while self._look():
                seen = self.sleep(seen)
        except Exception as error:
            for waiter in self._end():
                waiter.settle_from_elsewhere(None, error)

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

    def _end(self) -> Set[Waiter]:
        with _lock:
            waiters, self.waiters = self.waiters, set()
            self._forget()
            return waiters

    def _forget(self) -> None:
        """Under the lock: who comes from now on makes a new watch."""
        key = (type(self), self.key)
        if watches.get(key) is self:
            del watches[key]


def _add(waiter: Waiter, kind: Type[Watch], key: Any) -> Watch:
    place = (kind, key)
    while True:
        fresh = None if place in watches else kind(key)  # opening a store may wait: not under the lock
        with _lock:
            watch = watches.get(place) or fresh
            if watch:
                watch.waiters.add(waiter)
                if watch is fresh:
                    watches[place] = watch
                    watch.thread.start()
                return watch


def _remove(waiter: Waiter, watch: Watch) -> None:
    with _lock:
        waited = waiter in watch.waiters
        if waited:
            watch.waiters.remove(waiter)
        last = waited and not watch.waiters
    if last:
        watch.wake()  # so that its thread ends


def check_timeout(timeout: Optional[float]) -> None:
    if timeout is not None and not timeout >= 0:
        raise ValueError("timeout must be a number of seconds from 0 on, or None to wait for ever, not %r" % (timeout,))


async def wait_for(look: Callable[[], Optional[Any]], kind: Type[Watch], key: Any, timeout: Optional[float]) -> Optional[Any]:
    """What look() finds, once it finds something; None when the time has passed."""
    waiter = Waiter(look)
    watch = _add(waiter, kind, key)
    timer = None
    try:
        value = look()
        if value is not None:
            return value
        if timeout is not None and math.isfinite(timeout):
            timer = waiter.loop.call_later(timeout, waiter.settle, None)
        return await waiter.future
    finally:
        if timer is not None:
            timer.cancel()
        _remove(waiter, watch)


def _at_exit() -> None:
    """The threads end before the interpreter does, so that the stores they wait in are left in order."""
    global _stopping
    _stopping = True
    with _lock:
        there = list(watches.values())
    for watch in there:
        watch.wake()
    for watch in there:
        watch.thread.join(1)


def _in_child() -> None:
    """A forked child has neither the threads nor the loops of its parent."""
    global _lock
    _lock = threading.Lock()
    watches.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
