"""ShareableList: a list of fixed length in a segment, whose items other processes see and change.

The segment, in the machine's byte order:

    int64            count
    int64[count + 1] where each item's room begins, and where the last one ends: bytes from the start of the data
    {char, int32}[count]   of 8 bytes: what each item is now, and its length: q int, d float, ? bool, N None, s str, b bytes
    the data         8 bytes for a number; for text as many as it had at first, rounded up

An item changes in two writes: who reads it meanwhile may see either half, as in the standard library.
"""

import functools
import operator
import struct
import sys
from typing import Any, Iterable, Iterator, List, Optional, Tuple, Union

from .shared_memory import SharedMemory

if sys.version_info >= (3, 9):
    from types import GenericAlias

_Item = Union[int, float, bool, str, bytes, None]

_WORD = struct.Struct("=q")
_FLOAT = struct.Struct("=d")
_WHAT = struct.Struct("=cxxxI")
_KINDS = {int: b"q", float: b"d", bool: b"?", type(None): b"N", str: b"s", bytes: b"b"}
_FORMATS = {b"q": "q", b"d": "d", b"?": "xxxxxxx?", b"N": "xxxxxx?x"}  # as struct writes them, a word each


def _encode(value: Any) -> Tuple[bytes, bytes]:
    """An item's kind and bytes."""
    kind = _KINDS.get(type(value))
    if kind is None:
        raise TypeError("a ShareableList holds int, float, bool, str, bytes and None, not %s" % type(value).__name__)
    if kind == b"s":
        return kind, str.encode(value, "utf-8")
    if kind == b"b":
        return kind, value
    if kind == b"d":
        return kind, _FLOAT.pack(value)
    return kind, _WORD.pack(value or 0)


def _decode(kind: bytes, data: bytes) -> _Item:
    if kind == b"s":
        return data.decode("utf-8")
    if kind == b"b":
        return data
    if kind == b"N":
        return None
    if kind == b"d":
        return _FLOAT.unpack(data)[0]  # type: ignore[no-any-return]
    number = _WORD.unpack(data)[0]
    return bool(number) if kind == b"?" else number


class ShareableList:
    """A list of fixed length, of int (64 bits), float, bool, str, bytes and None, in shared memory.

    sequence: its items; without one, name is that of a list to attach to. Items can be changed, also to another type;
    text can be as long as what was there at first, rounded up to 8 bytes more.

    Raises ValueError (text that does not fit), struct.error (an int over 64 bits), TypeError, IndexError, and what
    SharedMemory raises.

    >>> a = ShareableList(["howdy", b"HoWdY", -273.154, 100, None, True, 42])
    >>> b = ShareableList(name=a.shm.name)
    >>> b[3] = "changed"
    >>> a[3], len(a), a.index(42), a.format
    ('changed', 7, 6, '8s8sd8sxxxxxx?xxxxxxxx?q')
    >>> a.shm.unlink()
    """

    shm: SharedMemory

    def __init__(self, sequence: Optional[Iterable[_Item]] = None, *, name: Optional[str] = None) -> None:
        if name is not None and sequence is None:
            self.shm = SharedMemory(name)
            self._check()
        else:
            items = [_encode(item) for item in sequence or ()]
            self._fill(SharedMemory(name, create=True, size=_size_of(items)), items)

    @classmethod
    def _made(cls, sequence: Iterable[_Item], lifetime: str) -> "ShareableList":
        self = cls.__new__(cls)
        items = [_encode(item) for item in sequence]
        self._fill(SharedMemory._made(_size_of(items), lifetime), items)
        return self

    # ---- where things are ----

    def _fill(self, shm: SharedMemory, items: List[Tuple[bytes, bytes]]) -> None:
        self.shm = shm
        end = 0
        for i, (kind, data) in enumerate(items):
            self._put_word(1 + i, end)
            self._put_item(len(items), i, end, kind, data)
            end += _room_of(kind, data)
        self._put_word(1 + len(items), end)
        self._put_word(0, len(items))

    def _check(self) -> None:
        """Is this a list? Its words are believed from here on no further than its size."""
        count = self._word(0) if self.shm.size >= 16 else -1
        if count < 0 or _head(count) > self.shm.size or _head(count) + self._word(1 + count) > self.shm.size:
            raise ValueError("the segment %r is no ShareableList" % self.shm.name)

    def _buf(self) -> memoryview:
        if self.shm.buf is None:
            raise ValueError("the segment of this ShareableList was closed; attach to it again by its name")
        return self.shm.buf

    def _word(self, index: int) -> int:
        return _WORD.unpack_from(self._buf(), 8 * index)[0]  # type: ignore[no-any-return]

    def _put_word(self, index: int, value: int) -> None:
        _WORD.pack_into(self._buf(), 8 * index, value)

    def _place(self, position: int) -> Tuple[int, int, int]:
        """The count, the index from 0 on, and where the item's room begins in the data."""
        count, index = self._word(0), operator.index(position)
        if not -count <= index < count:
            raise IndexError("list index out of range")
        index %= count
        return count, index, self._word(1 + index)

    def _put_item(self, count: int, index: int, begin: int, kind: bytes, data: bytes) -> None:
        buf, at = self._buf(), _head(count) + begin
        buf[at : at + len(data)] = data
        _WHAT.pack_into(buf, 8 * (2 + count + index), kind, len(data))

    def _what(self, count: int, index: int) -> Tuple[bytes, int]:
        """An item's kind and length."""
        kind, length = _WHAT.unpack_from(self._buf(), 8 * (2 + count + index))
        return kind, length

    # ---- as a list ----

    def __getitem__(self, position: int) -> _Item:
        count, index, begin = self._place(position)
        kind, length = self._what(count, index)
        at = _head(count) + begin
        return _decode(kind, bytes(self._buf()[at : at + length]))

    def __setitem__(self, position: int, value: _Item) -> None:
        try:
            count, index, begin = self._place(position)
        except IndexError:
            raise IndexError("assignment index out of range") from None
        kind, data = _encode(value)
        if len(data) > self._word(2 + index) - begin:
            raise ValueError("bytes/str item exceeds available storage")
        self._put_item(count, index, begin, kind, data)

    def __len__(self) -> int:
        return self._word(0)

    def __iter__(self) -> Iterator[_Item]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return "%s(%r, name=%r)" % (self.__class__.__name__, list(self), self.shm.name)

    def __reduce__(self) -> Tuple[Any, ...]:
        return functools.partial(self.__class__, name=self.shm.name), ()

    @property
    def format(self) -> str:
        """The struct format of the items as they are now."""
        count, formats = self._word(0), []
        for index in range(count):
            room = self._word(2 + index) - self._word(1 + index)
            formats.append(_FORMATS.get(self._what(count, index)[0], "%ds" % room))
        return "".join(formats)

    def count(self, value: Any) -> int:
        """How many items are equal to value."""
        return sum(value == item for item in self)

    def index(self, value: Any) -> int:
        """Where the first item is that is equal to value; ValueError if there is none."""
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError("%r not in this container" % (value,))

    if sys.version_info >= (3, 9):

        def __class_getitem__(cls, item: Any) -> GenericAlias:
            return GenericAlias(cls, item)


def _room_of(kind: bytes, data: bytes) -> int:
    return 8 * (len(data) // 8 + 1) if kind in b"sb" else 8


def _head(count: int) -> int:
    """Bytes before the data."""
    return 8 * (2 + 2 * count)


def _size_of(items: List[Tuple[bytes, bytes]]) -> int:
    return _head(len(items)) + sum(_room_of(kind, data) for kind, data in items)
