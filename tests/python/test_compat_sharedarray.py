"""compat.sharedarray: what programs rely on in the SharedArray package."""

import gc
import resource

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
import zero_copy_tensor_ipc.compat.sharedarray as sa


@pytest.fixture(autouse=True)
def default_store(monkeypatch):
    before = {t.name for t in zct.list_shared_tensors()}
    yield
    for t in zct.list_shared_tensors():
        if t.name not in before:
            sa.delete(t.name)


@pytest.mark.parametrize("name", ["shm://test", "test"])
def test_the_example(name):
    a = sa.create(name, 10)
    b = sa.attach(name)
    assert isinstance(a, np.ndarray) and a.dtype == np.float64 and a.shape == (10,) and not a.any()
    a[0] = 42
    assert b[0] == 42
    del a
    gc.collect()
    assert b[0] == 42
    assert [(x.name, x.dtype, x.dims) for x in sa.list() if x.name == "test"] == [("test", np.dtype(float), (10,))]
    sa.delete("test")
    assert b[0] == 42
    with pytest.raises(FileNotFoundError):
        sa.attach(name)
    assert [x for x in sa.list() if x.name == "test"] == []


@pytest.mark.parametrize("dtype", [bool, np.int8, ">f4", complex, "M8[s]", "S5"])
def test_dtypes(dtype):
    a = sa.create("d", (2, 3), dtype)
    b = sa.attach("d")
    assert b.dtype == a.dtype == np.dtype(dtype) and b.shape == (2, 3)


def test_it_lasts(python):
    """Through processes that end, and create() does not replace it although nobody has it."""
    head = "import zero_copy_tensor_ipc.compat.sharedarray as sa\n"
    python(head + "sa.create('shm://x', 3)[0] = 5")
    assert python(head + "print(sa.attach('x').tolist())") == "[5.0, 0.0, 0.0]\n"
    code = head + "try:\n    sa.create('x', 3)\nexcept FileExistsError:\n    print(sa.attach('x')[0])"
    assert python(code) == "5.0\n"


def test_read_only():
    a = sa.create("r", 3)
    r = sa.attach("shm://r", ro=True)
    assert not r.flags.writeable
    a[0] = 1
    assert r[0] == 1
    with pytest.raises(ValueError):
        r[0] = 2


def test_errors():
    sa.create("x", 3)
    with pytest.raises(FileExistsError):
        sa.create("shm://x", 3)
    with pytest.raises(FileNotFoundError):
        sa.delete("shm://nothing")
    with pytest.raises(FileNotFoundError):
        sa.attach("nothing")
    with pytest.raises(TypeError):
        sa.create("o", 3, object)
    with pytest.raises(ValueError):
        sa.create("o", -3)
    with pytest.raises(ValueError):
        sa.create("shm://", 3)
    with pytest.raises(TypeError):
        sa.create(5, 3)
    for call in (lambda: sa.create("file:///tmp/x", 3), lambda: sa.attach("file://x"), lambda: sa.delete("file://x")):
        with pytest.raises(ValueError, match="open_memmap"):
            call()


def test_names_with_slashes():
    sa.create("shm:///a/b", 3)
    assert sa.attach("/a/b").shape == (3,)


def test_msync_and_mlock():
    a = sa.create("x", 3)
    for flags in (sa.MS_SYNC, sa.MS_ASYNC, sa.MS_SYNC | sa.MS_INVALIDATE):
        sa.msync(a, flags)
    with pytest.raises(ValueError):
        sa.msync(a, 64)
    sa.mlock(a)
    sa.mlock(a[1:])
    sa.munlock(a)
    sa.mlock(sa.create("empty", 0))
    for call in (lambda x: sa.msync(x, sa.MS_SYNC), sa.mlock, sa.munlock):
        with pytest.raises(ValueError):
            call(np.zeros(3))


def test_mlock_beyond_the_limit(python, sanitizer):
    if sanitizer:
        pytest.skip("sanitizers lock no memory")
    code = """
        import os, resource
        import zero_copy_tensor_ipc.compat.sharedarray as sa
        a = sa.create("x", 1 << 20)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            sa.mlock(a)
        except OSError as e:
            print("mlock" in str(e), e.errno)
    """
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert python(code) == "True 12\n"
