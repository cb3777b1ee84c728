"""Structured dtypes as the descriptors that lie beside a tensor (docs/FORMAT.md), and back. Imported by the extension when it
meets the first one; it keeps what it got, so none of this is on the way of an attach.

A descriptor comes from shared memory, perhaps from another language or a hostile process: nothing in it is believed that was
not checked, and no dtype with references to Python objects can come out of it.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, NoReturn, Tuple

import numpy as np

_MAX_BYTES = 65535
_MAX_DEPTH = 32  # of structs within structs
_NAME_BYTES = 31  # of the name that people read

_dtype: Any = np.dtype  # NumPy's stubs know no dtype by parts

# What dtype.str is for everything without fields and without references.
_PLAIN = re.compile(r"[<>|](?:[biufcSUV][0-9]{1,10}|[mM]8(?:\[(?:[1-9][0-9]{0,9})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)")

# (dtype, its offset in bytes, its title) by name: what dtype.fields says, without the entries of titles
_Fields = List[Tuple[str, "np.dtype[Any]", int, Any]]


def _fields(dtype: np.dtype[Any]) -> _Fields:
    assert dtype.names is not None and dtype.fields is not None
    fields: _Fields = []
    for name in dtype.names:
        entry: Tuple[Any, ...] = dtype.fields[name]
        fields.append((name, entry[0], entry[1], entry[2] if len(entry) > 2 else None))
    return fields


# ---- dtype -> descriptor ------------------------------------------------------------------------------------------


def describe(dtype: np.dtype[Any], longdouble: str) -> Tuple[bytes, str]:
    """The descriptor of a structured dtype, and its name for people. TypeError where there is none, and where it would not
    give the very same dtype back. `longdouble` is the format of this platform's long double."""
    try:
        tree = _struct(dtype, "", 1)
        if _has_longdouble(dtype):
            tree["longdouble"] = longdouble
        blob = _encode(tree)
        if len(blob) > _MAX_BYTES:
            raise _Unfit("its description has %d bytes, more than %d" % (len(blob), _MAX_BYTES))
        again = restore(blob, dtype.itemsize, longdouble)
        if _struct(again, "", 1) != _struct(dtype, "", 1):
            raise _Unfit("its description gives the different dtype %s" % _shortened(repr(again)))
    except (_Unfit, _Foreign) as error:
        raise TypeError("arrays of dtype %s cannot be shared: %s" % (_shortened(repr(dtype)), error)) from None
    return blob, _name(dtype)


class _Unfit(Exception):
    """Why a dtype of this process has no descriptor."""


def _struct(dtype: np.dtype[Any], path: str, depth: int) -> Dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise _Unfit("it has structs in structs more than %d deep" % _MAX_DEPTH)
    rows: List[Any] = []
    for name, kind, offset, title in _fields(dtype):
        row = [name, _type(kind, path + name, depth), offset]
        if title is not None:
            if not isinstance(title, str):
                raise _Unfit("the title of field '%s' is no str but %s" % (path + name, _shortened(repr(title))))
            row.append(title)
        rows.append(row)
    tree: Dict[str, Any] = {"fields": rows, "itemsize": dtype.itemsize}
    if dtype.isalignedstruct:
        tree["aligned"] = True
    if dtype.type is np.record:
        tree["record"] = True
    elif dtype.kind != "V":
        tree["base"] = _plain(dtype, path)
    return tree


def _type(dtype: np.dtype[Any], path: str, depth: int) -> Any:
    if dtype.subdtype is not None:
        base, extents = dtype.subdtype
        return [_type(base, path, depth), list(extents)]
    if dtype.names is not None:
        return _struct(dtype, path + ".", depth + 1)
    return _plain(dtype, path)


def _plain(dtype: np.dtype[Any], path: str) -> str:
    if dtype.hasobject:
        raise _Unfit("field '%s' has references to Python objects, which mean nothing in another process" % path)
    if dtype.isbuiltin == 2 or _PLAIN.fullmatch(dtype.str) is None:
        raise _Unfit("the dtype %r of field '%s' is not one of NumPy's own" % (dtype, path))
    return str(dtype.str)


def _has_longdouble(dtype: np.dtype[Any]) -> bool:
    if dtype.subdtype is not None:
        return _has_longdouble(dtype.subdtype[0])
    if dtype.names is not None and any(_has_longdouble(kind) for _, kind, _, _ in _fields(dtype)):
        return True
    return dtype.char in "gG"


def _encode(tree: Dict[str, Any]) -> bytes:
    try:
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate in a name has no UTF-8, but JSON has an escape for it
        return json.dumps(tree, separators=(",", ":")).encode()


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


# ---- the name for people ------------------------------------------------------------------------------------------


def _name(dtype: np.dtype[Any]) -> str:
    """struct{x:f4,y:f4[3]}, or as much of that as 31 bytes of ASCII hold."""
    fields = _fields(dtype)
    for text in (
        "struct{%s}" % ",".join("%s:%s" % (name, _short(kind)) for name, kind, _, _ in fields),
        "struct{%s}" % ",".join(name for name, _, _, _ in fields),
    ):
        if len(text) <= _NAME_BYTES and text.isprintable() and all(c < "\x7f" for c in text):
            return text
    return "struct of %d fields" % len(fields)


def _short(dtype: np.dtype[Any]) -> str:
    if dtype.subdtype is not None:
        base, extents = dtype.subdtype
        return "%s[%s]" % (_short(base), ",".join(map(str, extents)))
    if dtype.names is not None:
        return "{%s}" % ",".join("%s:%s" % (name, _short(kind)) for name, kind, _, _ in _fields(dtype))
    return dtype.str.lstrip("<|")


# ---- descriptor -> dtype ------------------------------------------------------------------------------------------


class _Foreign(Exception):
    """What is wrong with a descriptor."""


def restore(blob: bytes, itemsize: int, longdouble: str, name: str = "") -> np.dtype[Any]:
    """The dtype that the descriptor of the tensor `name` describes; TypeError for one that is none, or none that this NumPy
    can have."""
    try:
        tree = json.loads(blob.decode(), parse_constant=_no_constant)
        if isinstance(tree, dict) and tree.get("longdouble", longdouble) != longdouble:
            raise _Foreign("its long double is %r, this platform's is %r" % (tree["longdouble"], longdouble))
        dtype = _restored_struct(tree, 1)
        if dtype.itemsize != itemsize:
            raise _Foreign("it describes %d bytes an element, the tensor has %d" % (dtype.itemsize, itemsize))
    except (_Foreign, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise TypeError(
            "the structured dtype of tensor '%s' cannot be read: %s; its description is %s"
            % (name, error, _shortened(ascii(blob)[1:]))
        ) from None
    return dtype


def _no_constant(word: str) -> NoReturn:
    raise _Foreign("%s is no number of bytes" % word)


def _restored_struct(tree: Any, depth: int) -> np.dtype[Any]:
    if not isinstance(tree, dict) or not isinstance(tree.get("fields"), list):
        raise _Foreign("a struct is an object with a list of fields, not %s" % _shortened(ascii(tree)))
    if depth > _MAX_DEPTH:
        raise _Foreign("structs in structs are more than %d deep" % _MAX_DEPTH)
    size = _count(tree.get("itemsize"), "itemsize")
    names, formats, offsets, titles = [], [], [], []
    for row in tree["fields"]:
        if not isinstance(row, list) or len(row) not in (3, 4) or not isinstance(row[0], str):
            raise _Foreign("a field is [name, type, offset] or [name, type, offset, title], not %s" % _shortened(ascii(row)))
        kind = _restored_type(row[1], depth)
        offset = _count(row[2], "the offset of field %s" % ascii(row[0]))
        if offset + kind.itemsize > size:
            raise _Foreign("field %s reaches beyond the element of %d bytes" % (ascii(row[0]), size))
        if len(row) == 4 and not isinstance(row[3], str):
            raise _Foreign("the title of field %s is no string" % ascii(row[0]))
        names.append(row[0])
        formats.append(kind)
        offsets.append(offset)
        titles.append(row[3] if len(row) == 4 else None)
    parts: Dict[str, Any] = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
    if any(title is not None for title in titles):
        parts["titles"] = titles
    dtype: np.dtype[Any] = _dtype(parts, align=tree.get("aligned") is True)
    if tree.get("record") is True:
        dtype = _dtype((np.record, dtype))
    elif "base" in tree:
        dtype = _dtype((_restored_plain(tree["base"]), dtype))
    if dtype.hasobject:
        raise _Foreign("it has references to Python objects")
    return dtype


def _restored_type(kind: Any, depth: int) -> np.dtype[Any]:
    if isinstance(kind, dict):
        return _restored_struct(kind, depth + 1)
    if isinstance(kind, list):
        if len(kind) != 2 or not isinstance(kind[1], list) or isinstance(kind[0], list):
            raise _Foreign("a sub-array is [type, [extents]], not %s" % _shortened(ascii(kind)))
        extents = tuple(_count(extent, "an extent") for extent in kind[1])
        dtype: np.dtype[Any] = _dtype((_restored_type(kind[0], depth), extents))
        return dtype
    return _restored_plain(kind)


def _restored_plain(text: Any) -> np.dtype[Any]:
    if not isinstance(text, str) or _PLAIN.fullmatch(text) is None:
        raise _Foreign("%s is no type of a field" % _shortened(ascii(text)))
    dtype: np.dtype[Any] = _dtype(text)
    if dtype.str[1:] != text[1:]:  # old NumPys let the size of a very long string overflow
        raise _Foreign("%s is no type that this NumPy has" % text)
    return dtype


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise _Foreign("%s is %s, not a number of bytes or elements" % (what, _shortened(ascii(value))))
    return value
