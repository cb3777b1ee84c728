"""Store: what it says about itself, and what it survives."""

import os
import stat

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct


def test_attributes(store, directory):
    assert store.name == "t" and store.path.startswith(directory) and os.path.exists(store.path)
    assert store.capacity == 64 << 20 and not store.closed
    assert "'t'" in repr(store)
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600


def test_file_mode(directory):
    with zct.Store("open", directory=directory, capacity=1 << 20, mode=0o660) as s:
        assert stat.S_IMODE(os.stat(s.path).st_mode) == 0o660


def test_by_path(store, directory):
    t = store.create("x", np.ones(3))
    with zct.Store(store.path) as s:
        assert np.shares_memory(s.attach("x"), t)
    p = os.path.join(directory, "mine.store")
    with zct.Store(p, capacity=1 << 20) as s:
        assert s.path == p
        s.create("x", np.ones(3), lifetime="pinned")
    with zct.Store(os.fsencode(p)) as s:
        assert s.attach("x").sum() == 3


def test_geometry_of_an_existing_store_holds(store, directory):
    with zct.Store("t", directory=directory) as s:
        assert s.capacity == 64 << 20
    with pytest.raises(ValueError, match="capacity"):
        zct.Store("t", directory=directory, capacity=32 << 20)
    with zct.Store("t", directory=directory, capacity=64 << 20):
        pass


def test_last_leaver_takes_an_empty_store_with_it(directory):
    s = zct.Store("e", directory=directory, capacity=1 << 20)
    path = s.path
    t = s.create("x", np.zeros(3))
    s.close()
    del t
    assert os.path.exists(path)  # a name is left
    with zct.Store("e", directory=directory) as s:
        s.unlink("x")
    assert not os.path.exists(path)
    with zct.Store("e", directory=directory, capacity=2 << 20) as s:
        assert s.capacity == 2 << 20


def test_stats(store, peer):
    before = store.stats()
    assert before.capacity == 64 << 20 and before.members == 1 and before.names == 0
    t = store.create("x", np.zeros(1 << 20, np.uint8))
    p = peer()
    p.do("w = zct.attach_shared_tensor('x')")
    s = store.stats()
    assert s.members == 2 and s.names == 1 and s.used >= 1 << 20 and s.births == before.births + 1
    assert s.resident >= 1 << 20 and len(s) == 14
    p.kill()
    assert store.gc().members == 1 and store.stats().members == 1
    assert store.stats().reaped >= 1  # the child between fork and exec may have been a member too
    assert t.holders == 1


def test_trim(store):
    t = store.create("x", np.ones(8 << 20, np.uint8))
    t.unlink()
    del t
    store.gc()
    given = store.trim()
    s = store.stats()
    assert given + 0 >= 0 and s.used == 0 and s.warm_free == 0 and s.resident < 8 << 20


def test_list_stores(store, directory):
    assert [(i.name, i.path) for i in zct.Store.list_stores(directory)] == [("t", store.path)]
    assert [i.name for i in zct.Store.list_stores(os.fsencode(directory))] == ["t"]


def test_destroyed_while_in_use(directory):
    s = zct.Store("d", directory=directory, capacity=1 << 20)
    t = s.create("x", np.arange(3))
    zct.Store.destroy("d", directory=directory)
    for call in (lambda: s.attach("x"), lambda: s.create("y", [1]), lambda: s.unlink("x"), lambda: zct.zeros(3, store=s)):
        with pytest.raises(zct.StoreGoneError) as e:
            call()
        assert isinstance(e.value, OSError) and e.value.errno == 116 and e.value.store == "d"
    t[0] = 9
    assert t.tolist() == [9, 1, 2] and t[1:].sum() == 3
    with zct.Store("d", directory=directory, capacity=1 << 20) as again:
        assert again.list() == []
    with pytest.raises(FileNotFoundError):
        zct.Store.destroy("d", directory=directory)


def test_module_functions_join_a_new_default_store(python):
    python(
        """
        import numpy as np, zero_copy_tensor_ipc as zct
        def missing(store):
            try:
                zct.attach_shared_tensor("x", store=store)
            except zct.TensorNotFoundError:
                return True
        steps = [
            missing,
            lambda store: zct.list_shared_tensors(store) == [],
            lambda store: zct.create_shared_tensor("x", np.zeros(3), store=store).generation == 1,
            lambda store: zct.zeros(3, store=store).sum() == 0,
            lambda store: zct.ones(3, name="x", store=store).generation == 1,
            lambda store: zct.unlink_shared_tensor("x", store=store, missing_ok=True) is None,
        ]
        kept = []
        for step in steps:
            for store in (None, "named"):
                t = zct.create_shared_tensor("x", np.ones(3), store=store, exists="replace")
                kept.append(t)
                zct.Store.destroy(store or "default")
                assert step(store), (store, step)
        assert all(t.sum() == 3 for t in kept)
        """
    )


def test_unlinked_behind_our_back(directory):
    s = zct.Store("u", directory=directory, capacity=1 << 20)
    t = s.create("x", np.arange(3))
    os.unlink(s.path)
    with zct.Store("u", directory=directory, capacity=1 << 20) as other:
        assert other.list() == []
    try:
        s.create("y", [1])
    except zct.StoreGoneError:
        pass
    assert t.sum() == 3


def test_environment_names_the_store(python, directory):
    path = os.path.join(directory, "sub")
    os.mkdir(path)
    code = """
        import numpy as np, zero_copy_tensor_ipc as zct
        t = zct.create_shared_tensor("x", np.ones(3))
        print(t.store.name, t.store.capacity, t.store.path)
    """
    out = python(code, env={"ZCT_STORE": "mine", "ZCT_DIR": path, "ZCT_CAPACITY": str(4 << 20)}).split()
    assert out[0] == "mine" and out[1] == str(4 << 20) and out[2].startswith(path)


# ---- what cannot be a store ------------------------------------------------------------------------------------


def test_no_such_directory():
    with pytest.raises(FileNotFoundError):
        zct.Store("x", directory="/nonexistent/directory")
    with pytest.raises(OSError):
        zct.Store("/nonexistent/directory/store")


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b", 3])
def test_bad_store_names(directory, name):
    with pytest.raises((ValueError, TypeError)):
        zct.Store(name, directory=directory)


@pytest.mark.parametrize("arguments", [{"capacity": -1}, {"capacity": 2**64}, {"capacity": 1.5}, {"mode": 0o7777},
                                       {"max_members": 5000}, {"max_names": 2**33}, {"color": 1}], ids=str)
def test_bad_store_arguments(directory, arguments):
    with pytest.raises((ValueError, TypeError, zct.Error)):
        zct.Store("x", directory=directory, **arguments)
    assert os.listdir(directory) == []


def test_too_many_members(directory, python):
    with zct.Store("m", directory=directory, capacity=4 << 20, max_members=2) as s:
        s.create("x", np.arange(3), lifetime="pinned")
        code = """
            import sys, zero_copy_tensor_ipc as zct
            s = zct.Store("m")
            print(s.attach("x").sum(), flush=True)
            try:
                import subprocess
                code = "import zero_copy_tensor_ipc as zct; zct.Store('m')"
                out = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, universal_newlines=True)
                assert "TooManyMembersError" in out.stderr, out.stderr
            finally:
                s.close()
        """
        python(code)
        assert s.check() == []


# ---- file systems without room --------------------------------------------------------------------------------

ON_TMPFS = """
import os, subprocess, sys
d, size, filled = sys.argv[1], sys.argv[2], int(sys.argv[3])
subprocess.check_call(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", d])
if filled:
    f = os.open(os.path.join(d, "filler"), os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(f, bytes(4096))
    except OSError:
        pass
del os.environ["ZCT_CAPACITY"]
import numpy as np
import zero_copy_tensor_ipc as zct
full = kept = 0
arrays = []
for i in range(200):
    try:
        arrays.append(zct.create_shared_tensor("t%d" % i, np.full(10000, i), store="t"))
    except zct.StoreFullError as e:
        assert e.errno == 28 and "--shm-size" in str(e) and "emptyDir" in str(e), str(e)
        full += 1
assert full and all((a == i).all() for i, a in enumerate(arrays))
if arrays:
    s = arrays[0].store
    assert s.check() == [] and len(s.list()) == len(arrays)
    s.unlink("t0")
    del arrays[0]
    zct.create_shared_tensor("again", np.zeros(10000), store="t")
    with zct.numpy_allocator("t"):
        big = [np.full(50000, i) for i in range(20)]
    assert all((a == i).all() for i, a in enumerate(big))
print(len(arrays))
"""


@pytest.mark.parametrize("size, filled", [("64k", 0), ("512k", 0), ("4m", 0), ("4m", 1), ("64k", 1)])
def test_small_and_full_tmpfs(python, directory, size, filled):
    import shutil
    import subprocess

    if not shutil.which("unshare") or subprocess.call(["unshare", "-m", "true"], stderr=subprocess.DEVNULL):
        pytest.skip("mount namespaces are not permitted here")
    code = "import subprocess, sys\nsys.exit(subprocess.call(['unshare', '-m', sys.executable, '-c'] + sys.argv[1:]))"
    python(code, ON_TMPFS, directory, size, filled)
