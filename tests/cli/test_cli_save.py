"""zct save: files that NumPy and safetensors read, and that appear whole or not at all."""

import json
import os
import resource
import signal
import stat
import subprocess
import time
import zipfile

import files
import numpy as np
import pytest

ARRAYS = files.every_dtype()


def load(zct, tmp_path, arrays, *arguments):
    for name, array in arrays.items():
        path = tmp_path / f"{name.replace('/', '_')}.npy"
        np.save(path, array)
        zct("load", str(path), "--exists", "replace", *arguments)


def test_npy_is_byte_for_byte_what_numpy_writes(zct, tmp_path):
    for name, array in ARRAYS.items():
        np.save(tmp_path / "x.npy", array)
        zct("load", "--exists", "replace", str(tmp_path / "x.npy"))
        zct("save", str(tmp_path / "out.npy"), "x")
        want, got = (tmp_path / "x.npy").read_bytes(), (tmp_path / "out.npy").read_bytes()
        back = np.load(tmp_path / "out.npy")
        assert files.same(back, array), name
        if "greek" not in name:  # quotes of names with quotes are a matter of taste
            assert got == want, name


def test_headers_of_all_three_versions(zct, tmp_path):
    count = 2500
    gaps = {"names": [f"f{i}" for i in range(count)], "formats": ["u1"] * count, "offsets": range(0, 2 * count, 2)}
    arrays = {
        1: np.zeros(2, "f4"),
        2: np.zeros(1, np.dtype(gaps)),  # each gap is a field of its own in the header
        3: np.zeros(1, [("\u03bb", "u1")]),
    }
    for version, array in arrays.items():
        with open(tmp_path / "x.npy", "wb") as file:
            np.lib.format.write_array(file, array, (version, 0))
        zct("load", "--exists", "replace", str(tmp_path / "x.npy"))
        zct("save", str(tmp_path / "out.npy"), "x")
        assert (tmp_path / "out.npy").read_bytes()[6] == version
        assert np.array_equal(np.load(tmp_path / "out.npy", max_header_size=1 << 20), array)


def test_npz(zct, tmp_path):
    zct.needs_zlib()
    np.savez(tmp_path / "in.npz", **ARRAYS)
    zct("load", str(tmp_path / "in.npz"))
    done = zct.json("save", str(tmp_path / "out.npz"))
    assert done["format"] == "npz" and done["count"] == len(ARRAYS)
    assert done["file_bytes"] == os.path.getsize(tmp_path / "out.npz")
    assert zipfile.ZipFile(tmp_path / "out.npz").testzip() is None
    back = np.load(tmp_path / "out.npz")
    assert sorted(back.files) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert files.same(back[name], array), name


def test_an_npz_member_beyond_4_gib(zct, tmp_path):
    room = min(os.statvfs(zct.directory).f_bavail * os.statvfs(zct.directory).f_frsize, os.statvfs(tmp_path).f_bavail * 4096)
    if room < 12 << 30:
        pytest.skip("needs 12 GiB of room in /dev/shm and on the disk")
    zct.needs_zlib()
    if os.environ.get("ZCT_TEST_LARGE") != "1":
        pytest.skip("ZCT_TEST_LARGE=1 moves 5 GiB about")
    shape = ((5 << 30) // 8,)
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", "f8", shape)
    big[-1] = 7
    del big
    np.save(tmp_path / "after.npy", np.arange(3))
    zct("load", str(tmp_path / "big.npy"), str(tmp_path / "after.npy"), "--prefix", "x", timeout=600)
    os.unlink(tmp_path / "big.npy")
    zct("save", str(tmp_path / "out.npz"), timeout=600)
    with zipfile.ZipFile(tmp_path / "out.npz") as archive:
        assert archive.getinfo("xbig.npy").file_size > 5 << 30
        assert np.load(tmp_path / "out.npz")["xafter"].tolist() == [0, 1, 2]
    zct("rm", "-g", "*")
    zct("load", str(tmp_path / "out.npz"), timeout=600)
    assert zct.json("head", "--index", "-1", "xbig")["tensors"][0]["values"] == 7.0


SAFE = {
    "b": ("BOOL", [2], b"\1\0"),
    "h": ("F16", [2, 2], np.arange(4, dtype="f2").tobytes()),
    "half": ("BF16", [3], bytes(range(6))),
    "e4": ("F8_E4M3", [4], bytes(range(4))),
    "e5": ("F8_E5M2", [4], bytes(range(4))),
    "wide": ("F64", [1, 1, 2], np.arange(2.0).tobytes()),
    "long": ("I64", [2], np.arange(2).tobytes()),
    "u": ("U8", [3], b"abc"),
    "z": ("C64", [1], np.array([1 + 2j], "c8").tobytes()),
    "none": ("F32", [0, 7], b""),
    "scalar": ("U16", [], b"\1\2"),
    'caf\u00e9 "\\\n': ("I32", [1], b"\1\2\3\4"),
}


def test_safetensors(zct, tmp_path):
    (tmp_path / "in.safetensors").write_bytes(files.safetensors(SAFE))
    zct("load", str(tmp_path / "in.safetensors"))
    zct("save", str(tmp_path / "out.safetensors"))
    raw = (tmp_path / "out.safetensors").read_bytes()
    assert files.parse_safetensors(raw) == SAFE
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    size = {"F64": 8, "I64": 8, "C64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U16": 2}
    for entry in header.values():  # each lies at a multiple of its elements
        assert entry["data_offsets"][0] % size.get(entry["dtype"], 1) == 0


def test_safetensors_is_byte_for_byte_what_its_package_writes(zct, tmp_path):
    package = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    kinds = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
    arrays = {f"{kind}.{i}": np.arange(6).reshape(2, 3).astype(kind) for kind in kinds for i in range(2)}
    package.save_file(arrays, tmp_path / "in.safetensors")
    zct("load", str(tmp_path / "in.safetensors"))
    zct("save", str(tmp_path / "out.safetensors"))
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


def test_safetensors_are_in_c_order_and_little_endian(zct, tmp_path):
    array = np.arange(10000.0).reshape(20, 5, 100)
    both = np.asfortranarray(array.astype(">c8"))
    load(zct, tmp_path, {"f": np.asfortranarray(array), "big": array.astype(">f8"), "both": both})
    zct("save", str(tmp_path / "out.safetensors"))
    tensors = files.parse_safetensors((tmp_path / "out.safetensors").read_bytes())
    assert tensors["f"][2] == tensors["big"][2] == array.tobytes()
    assert tensors["both"] == ("C64", [20, 5, 100], array.astype("<c8").tobytes())


@pytest.mark.parametrize(
    ("content", "file", "why"),
    [
        (np.zeros(2, "M8[s]"), "x.safetensors", "no word for it"),
        (np.zeros(2, "c16"), "x.safetensors", "no word for it"),
        (np.zeros(2, [("a", "f4")]), "x.safetensors", "no word for it"),
        (("BF16", [2], bytes(4)), "x.npy", ".safetensors has"),
        (("F8_E4M3", [2], bytes(2)), "x.npz", ".safetensors has"),
    ],
)
def test_what_a_format_cannot_tell_is_refused_before_anything_is_written(zct, tmp_path, content, file, why):
    if file.endswith(".npz"):
        zct.needs_zlib()
    (tmp_path / file).write_bytes(b"as it was")
    if isinstance(content, tuple):
        (tmp_path / "in").write_bytes(files.safetensors({"x": content}))
        zct("load", str(tmp_path / "in"))
    else:
        load(zct, tmp_path / "..", {"x": content})
    done = zct("save", str(tmp_path / file), "x", code=1)
    assert why in done.stderr and "nothing was written" in done.stderr and "'x'" in done.stderr
    assert (tmp_path / file).read_bytes() == b"as it was"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".zct")]


def test_which_tensors(zct, tmp_path):
    zct.needs_zlib()
    load(zct, tmp_path, {"a": np.zeros(1), "b": np.ones(2), "c": np.zeros(3)}, "--prefix", "m/")
    load(zct, tmp_path, {"a": np.ones(4)})
    out = str(tmp_path / "out.npz")

    def saved(*arguments):
        zct("save", out, *arguments)
        return sorted(np.load(out).files)

    assert saved() == ["a", "m/a", "m/b", "m/c"]
    assert saved("a", "m/b") == ["a", "m/b"]
    assert saved("--glob", "m/[ab]", "a") == ["a", "m/a", "m/b"]
    assert saved("--glob", "m/*", "--strip", "m/") == ["a", "b", "c"]
    assert saved("--format", "npz", "--", "m/a") == ["m/a"]
    for wrong in (["nothing"], ["-g", "x*"], ["a", "m/a", "--strip", "m/"], ["a", "a"], ["m/a", "--strip", "m/a"]):
        before = open(out, "rb").read()
        done = zct("save", out, *wrong, code=1)
        assert done.stderr.startswith("zct: ") and done.stdout == ""
        assert open(out, "rb").read() == before
    assert "one tensor" in zct("save", str(tmp_path / "out.npy"), code=1).stderr


def test_an_empty_store_saves_nothing(zct, tmp_path):
    zct.actor()
    assert "no named tensors" in zct("save", str(tmp_path / "out.npz"), code=1).stderr
    assert os.listdir(tmp_path) == []


def test_the_target_keeps_its_mode_and_links_are_followed(zct, tmp_path):
    load(zct, tmp_path, {"x": np.arange(3)})
    target = tmp_path / "real.npy"
    target.write_bytes(b"old")
    target.chmod(0o640)
    (tmp_path / "link.npy").symlink_to(target)
    zct("save", str(tmp_path / "link.npy"), "x")
    assert (tmp_path / "link.npy").is_symlink() and np.load(target).tolist() == [0, 1, 2]
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    old = os.umask(0o027)
    try:
        zct("save", "new.npy", "x", cwd=tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o640


def test_targets_that_are_no_files(zct, tmp_path):
    load(zct, tmp_path, {"x": np.arange(3)})
    os.mkfifo(tmp_path / "fifo.npy")
    os.mkdir(tmp_path / "dir.npy")
    for target in ("fifo.npy", "dir.npy", "nowhere/x.npy", "dir.npy/"):
        done = zct("save", "--format", "npy", str(tmp_path / target), "x", code=1)
        assert "cannot write" in done.stderr
    done = zct("save", "--format", "npy", "/dev/null", "x", code=1)
    assert "no regular file" in done.stderr and os.stat("/dev/null").st_rdev != 0


def test_a_file_that_may_not_get_so_long_leaves_nothing(zct, tmp_path):
    load(zct, tmp_path, {"x": np.zeros(1 << 20)})
    os.mkdir(tmp_path / "out")
    (tmp_path / "out/x.npy").write_bytes(b"old")
    done = zct(
        "save", str(tmp_path / "out/x.npy"), "x", code=1,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )  # fmt: skip
    assert "File too large" in done.stderr
    assert os.listdir(tmp_path / "out") == ["x.npy"] and (tmp_path / "out/x.npy").read_bytes() == b"old"


def test_a_kill_in_the_middle_leaves_no_half_file(zct, tmp_path):
    zct.needs_zlib()
    load(zct, tmp_path, {"x": np.zeros(4 << 20)})
    os.mkdir(tmp_path / "out")
    target = tmp_path / "out/x.npz"
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04):
        process = subprocess.Popen([zct.path, "save", str(target)], env=zct.env, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():
            assert zipfile.ZipFile(target).testzip() is None
            target.unlink()
    zct("check")


def test_it_holds_what_it_reads(zct, tmp_path):
    """A tensor whose name ends while it is saved is saved all the same."""
    load(zct, tmp_path, {"x": np.arange(8 << 20)})
    process = subprocess.Popen([zct.path, "save", str(tmp_path / "x.npy"), "x"], env=zct.env, stderr=subprocess.PIPE, text=True)
    held = False
    while process.poll() is None and not held:
        done = zct.json("ls")
        held = done["tensors"] and done["tensors"][0]["holders"] == 1
    zct("rm", "-f", "x")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert np.array_equal(np.load(tmp_path / "x.npy"), np.arange(8 << 20))
