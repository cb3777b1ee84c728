"""Versioned: a name whose newest complete contents are always there, without a copy, a lock or a wait."""

from contextlib import contextmanager
from time import monotonic
from typing import Any, Iterator, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from ._core import (
    SharedTensor,
    Store,
    TensorNotFoundError,
    TensorReplacedError,
    attach_shared_tensor,
    create_shared_tensor,
    empty,
    unlink_shared_tensor,
)


class Versioned:
    """A tensor that is written by making its next version beside the ones that others read.

    Readers take latest(): the newest complete version, read-only, in well under a microsecond, and theirs for as long as
    they keep it. A writer fills memory that nobody sees and publishes it with one swap of the name: it waits for no reader,
    and one that is killed half-way has changed nothing. There are as many versions in memory as somebody holds, and the
    one under way; memory that is let go is used again. Any process may write; the last one to publish wins.

    A version is the tensor's generation: 1, 2, 3, ... Shape and dtype may change from one to the next.

    >>> pose = Versioned("doc/pose")
    >>> pose.put([0.0, 0.0, 1.0])
    1
    >>> with pose.write(3) as next_pose:
    ...     next_pose[:] = 2.5
    >>> pose.latest().tolist(), pose.version
    ([2.5, 2.5, 2.5], 2)
    >>> pose.unlink()
    """

    __slots__ = {"name": "The name.", "store": "The store, as it was given."}

    def __init__(self, name: str, *, store: Union[Store, str, None] = None) -> None:
        self.name = name
        self.store = store

    def __repr__(self) -> str:
        return "Versioned(%r)" % self.name if self.store is None else "Versioned(%r, store=%r)" % (self.name, self.store)

    def latest(self) -> SharedTensor:
        """The newest complete version, read-only; its number is .generation. TensorNotFoundError before the first."""
        return attach_shared_tensor(self.name, mode="r", store=self.store)

    @property
    def version(self) -> int:
        """The number of the newest version; 0 before the first."""
        try:
            return self.latest().generation or 0
        except TensorNotFoundError:
            return 0

    def put(self, data: npt.ArrayLike) -> int:
        """Publish a copy of `data` as the next version; returns its number."""
        return self._publish(data)

    @contextmanager
    def write(
        self, shape: Union[int, Sequence[int], None] = None, dtype: Optional[npt.DTypeLike] = None
    ) -> Iterator[SharedTensor]:
        """Memory for the next version, its elements not set; it is published at the end of the block, unless that raises.

        shape and dtype: None takes those of the newest version, else float for the dtype.
        """
        if shape is None or dtype is None:
            try:
                newest = self.latest()
            except TensorNotFoundError:
                if shape is None:
                    raise
            else:
                shape, dtype = newest.shape if shape is None else shape, newest.dtype if dtype is None else dtype
                del newest
        block = empty(shape, dtype, store=self.store)  # type: ignore[arg-type]
        yield block
        self._publish(block)

    def _publish(self, data: Any) -> int:
        return create_shared_tensor(self.name, data, store=self.store, exists="replace").generation or 0

    def wait(self, newer_than: int, timeout: Optional[float] = None) -> SharedTensor:
        """The newest version, once its number is beyond `newer_than`; sleeps until then. timeout: seconds, None for ever.

        Raises TimeoutError.
        """
        end = None if timeout is None else monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - monotonic())
            try:
                newest = attach_shared_tensor(self.name, mode="r", store=self.store, timeout=left)
            except TensorNotFoundError as error:
                raise TimeoutError(str(error)) from None
            if (newest.generation or 0) > newer_than:
                return newest
            try:
                newest.wait(np.iinfo(np.int64).max, left)
            except (TensorReplacedError, TensorNotFoundError):
                continue  # there is a newer one, or will be: after an unlink they count from 1 again

    def unlink(self, missing_ok: bool = True) -> None:
        """End the name; versions that somebody holds stay theirs."""
        unlink_shared_tensor(self.name, store=self.store, missing_ok=missing_ok)
