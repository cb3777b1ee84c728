"""zct load of files that lie: a sentence, exit code 1, and a store that is as it was."""

import io
import json
import random
import struct
import zipfile
import zlib

import files
import numpy as np
import pytest

GOOD = {"a": ("F32", [2], bytes(8)), "b": ("U8", [3], b"abc")}


def header(**entries):
    return json.dumps(entries).encode()


def entry(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


BAD_SAFETENSORS = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "header beyond the file": struct.pack("<Q", 1000) + b"{}",
    "header of 2^64 - 1": b"\xff" * 8 + b"{}",
    "no JSON": files.safetensors({}, b"{nonsense}", b""),
    "not an object": files.safetensors({}, b"[1, 2]", b""),
    "cut short JSON": files.safetensors({}, header(a=entry())[:-3], bytes(8)),
    "no UTF-8": files.safetensors({}, b'{"\xff":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b""),
    "deep nesting": files.safetensors({}, b'{"a":' + b"[" * 100000, b""),
    "comment": files.safetensors({}, b"{/* */}", b""),
    "trailing garbage": files.safetensors({}, b"{}{}", b""),
    "unknown dtype": files.safetensors({}, header(a=entry("F128")), bytes(8)),
    "control characters in the dtype": files.safetensors({}, header(a=entry("\x1b[2J")), bytes(8)),
    "dtype is a number": files.safetensors({}, header(a=entry(32)), bytes(8)),
    "shape is a number": files.safetensors({}, b'{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}', bytes(8)),
    "negative shape": files.safetensors({}, header(a=entry(shape=[-2])), bytes(8)),
    "fractional shape": files.safetensors({}, header(a=entry(shape=[2.0])), bytes(8)),
    "65 dimensions": files.safetensors({}, header(a=entry(shape=[1] * 65, end=4)), bytes(4)),
    "shape overflows": files.safetensors({}, header(a=entry(shape=[2**32, 2**32], end=0)), b""),
    "shape overflows with a zero": files.safetensors({}, header(a=entry(shape=[2**62, 2**62, 0], end=0)), b""),
    "shape beyond 2^63": files.safetensors({}, b'{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}}', b""),
    "begin after end": files.safetensors({}, header(a=entry(begin=8, end=0)), bytes(8)),
    "beyond the file": files.safetensors({}, header(a=entry(shape=[3], end=12)), bytes(8)),
    "offsets of 2^64 - 1": files.safetensors({}, header(a=entry(begin=2**64 - 8, end=2**64 - 1)), bytes(8)),
    "negative offset": files.safetensors({}, header(a=entry(begin=-8, end=0)), bytes(8)),
    "size is another": files.safetensors({}, header(a=entry(shape=[3])), bytes(8)),
    "overlap": files.safetensors({}, header(a=entry(), b=entry(begin=4, end=12)), bytes(12)),
    "the same place twice": files.safetensors({}, header(a=entry(), b=entry()), bytes(8)),
    "gap": files.safetensors({}, header(a=entry(), b=entry(begin=12, end=20)), bytes(20)),
    "more at the end": files.safetensors({}, header(a=entry()), bytes(9)),
    "a name twice": files.safetensors(
        {}, b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2)
    ),
    "a key too many": files.safetensors({}, header(a=entry(extra=1)), bytes(8)),
    "a key missing": files.safetensors({}, b'{"a":{"dtype":"U8","shape":[0]}}', b""),
    "an entry that is none": files.safetensors({}, b'{"a":1}', b""),
}

GOOD_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
BAD_NPY = {
    "magic alone": b"\x93NUMPY",
    "version 9": files.npy(version=(9, 0)),
    "version 1.1": files.npy(version=(1, 1)),
    "header beyond the file": files.npy()[:40],
    "header of 4 GiB": b"\x93NUMPY\2\0\xff\xff\xff\xff{}",
    "no literal": files.npy(header=b"import os"),
    "an expression": files.npy(header=GOOD_HEADER.replace(b"(2, 3)", b"(1+1, 3)")),
    "a call": files.npy(header=b"__import__('os').system('true')"),
    "no dict": files.npy(header=b"('<f4', False, (2, 3))"),
    "deep nesting": files.npy(header=b"(" * 50000),
    "deep fields": files.npy(header=GOOD_HEADER.replace(b"'<f4'", b"[('a', " * 40 + b"'<f4'" + b")]" * 40)),
    "no shape": files.npy(header=b"{'descr': '<f4', 'fortran_order': False}"),
    "a key twice": files.npy(header=GOOD_HEADER.replace(b"}", b"'shape': (6,)}")),
    "a key too many": files.npy(header=GOOD_HEADER.replace(b"}", b"'more': 1}")),
    "an order that is none": files.npy(header=GOOD_HEADER.replace(b"False", b"0")),
    "negative shape": files.npy(shape=(-2, -3)),
    "shape overflows": files.npy(shape=(2**31, 2**31, 2**31), data=b""),
    "shape beyond 2^63": files.npy(shape=(2**64,), data=b""),
    "65 dimensions": files.npy(shape=(1,) * 65, data=bytes(4)),
    "shape of text": files.npy(header=GOOD_HEADER.replace(b"(2, 3)", b"('2', 3)")),
    "too little data": files.npy(data=bytes(23)),
    "too much data": files.npy(data=bytes(25)),
    "objects": files.npy(descr="|O", data=bytes(48)),
    "objects in a struct": files.npy(descr=[("a", "|O")], data=bytes(48)),
    "unknown dtype": files.npy(descr="<f3"),
    "float beyond": files.npy(descr="<f4294967300"),
    "empty dtype": files.npy(descr=""),
    "a unit that is none": files.npy(descr="<M8[parsec]", data=bytes(48)),
    "no fields": files.npy(descr=[], data=b""),
    "a field that is none": files.npy(descr=[("a",)], data=b""),
    "a field twice": files.npy(descr=[("a", "<f4"), ("a", "<f4")], data=bytes(48)),
    "fields of 4 GiB": files.npy(descr=[("a", "<f8", (2**30,))], shape=(), data=b""),
    "text without an end": files.npy(header=b"{'descr': '<f4"),
    "escape without an end": files.npy(header=b"{'descr': '\\x4"),
}


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return bytearray(buffer.getvalue())


def patched(raw, at, fmt, value):
    struct.pack_into(fmt, raw, at, value)
    return bytes(raw)


def central(raw):
    return raw.index(b"PK\1\2")


def bomb(declared):
    """A deflated member that inflates to more than it says, or says more than it inflates to."""
    content = files.npy(shape=(1 << 22,), data=bytes(4 << 22))
    raw = archive([("x.npy", content)], zipfile.ZIP_DEFLATED)
    return patched(raw, central(raw) + 24, "<I", declared)


def bad_archives():
    one = archive([("x.npy", files.npy())])
    deflated = archive([("x.npy", files.npy(shape=(1000,), data=bytes(4000)))], zipfile.ZIP_DEFLATED)
    two = archive([("x.npy", files.npy()), ("y.npy", files.npy())])
    second = two.index(b"PK\1\2", central(two) + 4)
    return {
        "cut short": bytes(one[:-1]),
        "magic alone": b"PK\3\4",
        "no .npy within": bytes(archive([("readme.txt", b"hello")])),
        "a bad .npy within": bytes(archive([("x.npy", b"hello")])),
        "objects within": bytes(archive([("x.npy", files.npy(descr="|O", data=bytes(48)))])),
        "a name twice": bytes(archive([("x.npy", files.npy())] * 2)),
        "encrypted": patched(one[:], central(one) + 8, "<H", 1),
        "another compression": bytes(archive([("x.npy", files.npy())], zipfile.ZIP_BZIP2)),
        "checksum": patched(one[:], central(one) + 16, "<I", 1),
        "checksum of a deflated one": patched(deflated[:], central(deflated) + 16, "<I", 1),
        "size": patched(one[:], central(one) + 24, "<I", 10),
        "packed size": patched(one[:], central(one) + 20, "<I", 1 << 30),
        "local header elsewhere": patched(one[:], central(one) + 42, "<I", 7),
        "local header beyond": patched(one[:], central(one) + 42, "<I", 1 << 30),
        "64-bit sizes that are not there": patched(one[:], central(one) + 24, "<I", 0xFFFFFFFF),
        "directory elsewhere": patched(one[:], len(one) - 6, "<I", 3),
        "directory beyond": patched(one[:], len(one) - 6, "<I", 1 << 30),
        "more members than there are": patched(one[:], len(one) - 12, "<H", 2),
        "65535 members": patched(one[:], len(one) - 12, "<H", 65535),
        "members overlap": patched(two[:], second + 42, "<I", 0),
        "more within than it says": bomb(1 << 20),
        "less within than it says": bomb((4 << 22) + 200),
        "much less within than it says": bomb(0xFFFFFFF0),
        "damaged in the middle": bytes(deflated[:45]) + b"\xff\xff\xff" + bytes(deflated[48:]),
    }


BAD_NPZ = bad_archives()
BAD = {
    **{f"safetensors: {name}": raw for name, raw in BAD_SAFETENSORS.items()},
    **{f"npy: {name}": raw for name, raw in BAD_NPY.items()},
    **{f"npz: {name}": raw for name, raw in BAD_NPZ.items()},
}


@pytest.fixture
def loaded(zct, tmp_path):
    """A store with one tensor of ours, and a way to load bytes into it that must fail."""
    zct.actor().create("mine", [4])
    before = zct("ls", "--json").stdout

    def load(raw):
        (tmp_path / "x").write_bytes(raw)
        done = zct("load", "--exists", "replace", str(tmp_path / "x"), code=1)
        assert done.stdout == "" and done.stderr.startswith("zct: ") and "Traceback" not in done.stderr
        assert all(character.isprintable() for character in done.stderr.replace("\n", ""))
        assert zct("ls", "--all", "--json").stdout == before
        return done.stderr

    yield load
    zct("check")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence(loaded, name):
    assert "/x'" in loaded(BAD[name])


def test_what_is_good_is_loaded(zct, tmp_path):
    """The good ones that the bad ones are made of."""
    zct.needs_zlib()
    for raw in (
        files.safetensors(GOOD),
        files.safetensors({}, b"{}", b""),
        files.safetensors({}, b'{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}   ', b""),
        files.npy(),
        files.npy(header=b"{'shape': (2L, 3L), 'fortran_order': False, 'descr': u'<f4'}"),
        bytes(archive([("x.npy", files.npy())])),
        bytes(archive([])),
        b"PK\5\6" + bytes(16) + struct.pack("<H", 3) + b"abc",
    ):
        (tmp_path / "x").write_bytes(raw)
        zct("load", "--exists", "replace", str(tmp_path / "x"))


def test_files_that_are_none(zct, tmp_path):
    for path, why in ((tmp_path, "no regular file"), (tmp_path / "missing", "No such file"), ("/dev/zero", "no regular file")):
        assert why in zct("load", str(path), code=1).stderr


def test_damage_anywhere_never_does_worse_than_a_sentence(zct, tmp_path):
    """Random damage to good files: loaded, or refused with code 1; nothing else, and the store stays sound."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(300), b=np.zeros(5, [("x", "i4"), ("y", "f8", (2,))]))
    chance = random.Random(5)
    zct.actor()
    goods = [files.safetensors(GOOD), files.npy(descr=[("a", "<f4"), ("b", "|S4")], data=bytes(48)), buffer.getvalue()]
    for _ in range(120):
        raw = bytearray(chance.choice(goods))
        for _ in range(chance.choice([1, 1, 2, 5])):
            raw[chance.randrange(len(raw))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        if chance.random() < 0.2:
            del raw[chance.randrange(len(raw)) :]
        (tmp_path / "x").write_bytes(raw)
        done = zct("load", "--exists", "replace", str(tmp_path / "x"), code=None)
        assert done.returncode in (0, 1), (bytes(raw), done)
        assert done.returncode == 0 or done.stderr.startswith("zct: ")
    zct("check")


def test_zip_in_64_bits(zct, tmp_path):
    """An archive whose directory has everything in the 64-bit extension, as very large ones have."""
    zct.needs_zlib()
    content = files.npy(shape=(6,), data=np.arange(6, dtype="<f4").tobytes())
    name, crc = b"x.npy", zlib.crc32(content)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 33, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20) + name
    local += struct.pack("<2H2Q", 1, 16, len(content), len(content)) + content
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 0, 0, 33, crc, 2**32 - 1, 2**32 - 1, 5, 28, 0, 0, 0, 0, 2**32 - 1)
    entry += name + struct.pack("<2H3Q", 1, 24, len(content), len(content), 0)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), len(local))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(local) + len(entry), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    (tmp_path / "x.npz").write_bytes(local + entry + end64 + locator + end)
    zct("load", str(tmp_path / "x.npz"))
    assert zct.json("head", "x")["tensors"][0]["values"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
