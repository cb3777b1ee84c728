"""Stores that are not what they should be, or not ours: refused by class and sentence, and left as they were."""

import os
import struct

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def file_of(directory):
    with zct.Store("b", directory=directory, capacity=1 << 20) as s:
        s.create("x", np.arange(3), lifetime="pinned")
        return s.path


BAD = {
    "zero bytes": lambda b: b"",
    "one byte": lambda b: b"z",
    "cut short": lambda b: b[: len(b) // 2],
    "header alone": lambda b: b[:4096],
    "random": lambda b: os.urandom(1 << 16),
    "other magic": lambda b: bytes([b[0] ^ 255]) + b[1:],
    "text": lambda b: b"hello world\n" * 1000,
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_bad_files(directory, kind):
    path = file_of(directory)
    with open(path, "rb") as f:
        whole = f.read()
    bad = BAD[kind](whole)
    os.unlink(path)
    with open(path, "wb") as f:
        f.write(bad)
    os.chmod(path, 0o600)
    with pytest.raises((zct.StoreCorruptError, zct.StoreVersionError)) as e:
        zct.Store("b", directory=directory)
    assert isinstance(e.value, OSError) and e.value.store == "b" and path in str(e.value)
    with open(path, "rb") as f:
        assert f.read() == bad  # not touched


def checksum(header):
    """docs/FORMAT.md, section 2."""
    mask = 2**64 - 1
    h = 504
    for i in range(0, 504, 8):
        x = h ^ struct.unpack_from("<Q", header, i)[0]
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        h = ((x ^ x >> 31) + i) & mask
    return h


def with_header(header, offset, form, value):
    header = bytearray(header)
    struct.pack_into(form, header, offset, value)
    struct.pack_into("<Q", header, 504, checksum(header))
    return bytes(header)


# What the header says, where, and the word of the sentence that tells it. A sound checksum is on all of them.
FOREIGN = {
    "a later format": (8, "<I", 99, zct.StoreVersionError, "format 99"),
    "the other byte order": (12, ">I", None, zct.StoreVersionError, "byte order"),
    "the other byte order, all of it": (0, ">Q", None, zct.StoreVersionError, "byte order"),
    "other pages": (16, "<I", 65536, zct.StoreVersionError, "65536"),
    "another build": (20, "<I", 12345, zct.StoreVersionError, "incompatible build"),
    "a feature that is needed": (24, "<Q", 1 << 40, zct.StoreVersionError, "incompatible build"),
    "no capacity": (200, "<Q", 0, zct.StoreCorruptError, "geometry"),
    "a capacity beyond all": (200, "<Q", 2**64 - 1, zct.StoreCorruptError, "geometry"),
    "names beyond all": (208, "<I", 2**32 - 1, zct.StoreCorruptError, "geometry"),
    "no members": (212, "<I", 0, zct.StoreCorruptError, "geometry"),
    "another name": (56, "<B", ord("y"), zct.StoreCorruptError, "under another name"),
}


@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_foreign_headers(directory, kind):
    path = file_of(directory)
    offset, form, value, error, word = FOREIGN[kind]
    with open(path, "r+b") as f:
        sound = f.read(520)
        assert with_header(sound, 504, "<Q", 0) == sound  # the checksum here is the library's
        if value is None:  # the same number, stored the other way round
            value = struct.unpack_from("<" + form[1:], sound, offset)[0]
        foreign = with_header(sound, offset, form, value)
        f.seek(0)
        f.write(foreign)
    for open_it in (lambda: zct.Store("b", directory=directory), lambda: zct.Store(path)):
        with pytest.raises(error, match=word) as e:
            open_it()
        assert path in str(e.value)
    if error is zct.StoreVersionError:
        with pytest.raises(error):
            zct.Store.destroy("b", directory=directory)
    with open(path, "r+b") as f:
        assert f.read(520) == foreign  # not touched
        f.seek(0)
        f.write(sound)
    with zct.Store("b", directory=directory) as s:
        assert s.attach("x").tolist() == [0, 1, 2] and s.check() == []


def test_damaged_headers(directory):
    """No single byte of the header may change unnoticed."""
    path = file_of(directory)
    with open(path, "r+b") as f:
        sound = f.read(512)
        for i, byte in enumerate(sound):
            f.seek(i)
            f.write(bytes([byte ^ 1 << i % 8]))
            f.flush()
            with pytest.raises((zct.StoreCorruptError, zct.StoreVersionError)):
                zct.Store("b", directory=directory)
            f.seek(i)
            f.write(sound[i : i + 1])
    with zct.Store("b", directory=directory) as s:
        assert s.check() == []


# ---- of other people -------------------------------------------------------------------------------------------


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def child(function):
    """Run it in a forked child without root's rights: its result must be true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            status = 0 if function() else 2
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


@needs_root
def test_someone_else_s_store(directory):
    os.chmod(os.path.dirname(directory), 0o755)
    os.chmod(directory, 0o755)
    path = file_of(directory)

    def attempt():
        try:
            zct.Store(path)
        except PermissionError as e:
            return e.errno == 13 and str(e)
        return False

    child(attempt)


@needs_root
def test_directory_that_cannot_be_written(directory):
    os.chmod(os.path.dirname(directory), 0o755)
    os.chmod(directory, 0o755)

    def attempt():
        try:
            zct.Store("new", directory=directory)
        except PermissionError:
            return os.listdir(directory) == []
        return False

    child(attempt)


@needs_root
def test_a_file_that_may_only_be_read(directory):
    """Who may read it looks: list, stats, check. Everything else says that, and why."""
    os.chmod(os.path.dirname(directory), 0o755)
    os.chmod(directory, 0o755)
    path = file_of(directory)
    os.chmod(path, 0o644)
    with open(path, "rb") as f:
        before = f.read()

    def look():
        with zct.Store(path) as s:
            (record,) = s.list()
            assert record.name == "x" and record.shape == (3,) and record.lifetime == "pinned" and record.holders == 0
            assert s.stats().names == 1 and s.stats().members == 0 and s.check() == []
            for call in (
                lambda: s.attach("x"),
                lambda: s.attach("x", mode="r"),
                lambda: s.attach("none", timeout=None),
                lambda: s.create("y", [1]),
                lambda: zct.zeros(3, store=s),
                lambda: s.unlink("x"),
                s.gc,
                s.trim,
            ):
                with pytest.raises(PermissionError, match="opened to look only; .* permission to write its file") as e:
                    call()
                assert e.value.errno == 13
            with zct.numpy_allocator(s, min_bytes=0):
                assert np.ones(1000).sum() == 1000
        with pytest.raises(PermissionError):
            zct.Store.destroy(path)
        return True

    child(look)
    with open(path, "rb") as f:
        assert f.read() == before
    with zct.Store("b", directory=directory) as s:
        assert s.attach("x").tolist() == [0, 1, 2]
