"""SharedMemoryManager: segments that last as long as their manager.

The manager's server process attaches to each segment that is made through the manager. Segments have the lifetime
"last": when the server goes, in whatever way, and nobody else has one, it is gone. The server ends with the process
that started it, also when that is killed: it watches it.
"""

import multiprocessing
import os
import sys
import threading
from multiprocessing import managers, util
from multiprocessing.connection import wait
from typing import Any, Dict, Iterable, List

from ._shareable_list import ShareableList, _Item
from .shared_memory import SharedMemory

_Segment = SharedMemory  # in the class below, that is a method


class _SharedMemoryServer(managers.Server):
    """The manager's process: it has every segment that was made through the manager."""

    public = managers.Server.public + ["track_segment", "release_segment", "list_segments"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._segments: Dict[str, SharedMemory] = {}
        self._mutex = threading.Lock()

    def serve_forever(self) -> None:
        threading.Thread(target=self._watch_parent, daemon=True).start()
        super().serve_forever()

    def _watch_parent(self) -> None:
        """Until the process that started this one has gone. Its sentinel alone does not do: other children of that
        process may keep it open. Before Python 3.9, another parent is the second sign."""
        parent, number = multiprocessing.parent_process(), os.getppid()
        if parent is None or parent.pid is None:
            return
        signs = [parent.sentinel]
        try:
            if sys.version_info >= (3, 9):
                signs.append(os.pidfd_open(parent.pid))
        except ProcessLookupError:
            number = -1
        except OSError:  # a kernel before 5.3
            pass
        while not wait(signs, 1) and os.getppid() == number:
            continue
        self._unlink_all()
        util._exit_function()  # type: ignore[attr-defined]
        os._exit(0)

    def _unlink_all(self) -> None:
        with self._mutex:
            segments, self._segments = self._segments, {}
        for segment in segments.values():
            segment.close()
            try:
                segment.unlink()
            except OSError:
                continue  # its maker did that, or the store is gone: it ends with this process

    # ---- what clients call ----

    def shutdown(self, c: Any) -> None:
        self._unlink_all()
        super().shutdown(c)

    def track_segment(self, c: Any, name: str) -> None:
        segment = SharedMemory(name)
        with self._mutex:
            self._segments[name] = segment

    def release_segment(self, c: Any, name: str) -> None:
        with self._mutex:
            segment = self._segments.pop(name)
        segment.close()
        segment.unlink()

    def list_segments(self, c: Any) -> List[str]:
        with self._mutex:
            return list(self._segments)


class SharedMemoryManager(managers.BaseManager):
    """Makes segments that end with it, as multiprocessing.managers.SharedMemoryManager.

    They end at shutdown(), at the end of its `with`, or when the process that started it ends, be it killed. Other
    processes connect() to it by its address.

    >>> with SharedMemoryManager() as manager:
    ...     shm = manager.SharedMemory(size=100)
    ...     shared = manager.ShareableList([1, "two", None])
    ...     shm.size, list(shared)
    (100, [1, 'two', None])
    """

    _Server = _SharedMemoryServer

    def __del__(self) -> None:
        util.debug("SharedMemoryManager.__del__ by pid %d" % os.getpid())

    def get_server(self) -> managers.Server:
        """A server object that serves in this process, with serve_forever()."""
        if self._state.value != managers.State.INITIAL:  # type: ignore[attr-defined]
            started = self._state.value == managers.State.STARTED  # type: ignore[attr-defined]
            raise multiprocessing.ProcessError("Already started" if started else "SharedMemoryManager has shut down")
        return self._Server(self._registry, self._address, self._authkey, self._serializer)  # type: ignore[attr-defined]

    def SharedMemory(self, size: int) -> SharedMemory:
        """A new segment of size bytes."""
        if not size > 0:
            raise ValueError("'size' must be a positive number different from zero")
        segment = SharedMemory._made(size, "last")
        self._track(segment)
        return segment

    def ShareableList(self, sequence: Iterable[_Item]) -> ShareableList:
        """A new ShareableList of these items."""
        shared = ShareableList._made(sequence, "last")
        self._track(shared.shm)
        return shared

    def _track(self, segment: _Segment) -> None:
        """From here on the server has it. If it does not come to that, the segment ends with this process's object."""
        with self._Client(self._address, authkey=self._authkey) as connection:  # type: ignore[attr-defined]
            managers.dispatch(connection, None, "track_segment", (segment.name,))  # type: ignore[attr-defined]
