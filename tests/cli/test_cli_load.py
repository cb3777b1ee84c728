"""zct load: files of all three formats, straight into the store; all of it or nothing."""

import os
import pty
import resource
import signal
import subprocess
import time

import files
import numpy as np
import pytest


@pytest.fixture
def write(zct, tmp_path):
    """``write("m.npz", a=array, b=array)`` makes a file and returns its path."""

    def write(name, **arrays):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, arrays["x"])
        elif name.endswith(".npz"):
            zct.needs_zlib()
            np.savez(path, **arrays)
        else:
            kinds = {"<f4": "F32", "<f8": "F64", "<i8": "I64"}
            path.write_bytes(
                files.safetensors({key: (kinds[a.dtype.str], list(a.shape), a.tobytes()) for key, a in arrays.items()})
            )
        return str(path)

    return write


def content(zct, name):
    (tensor,) = zct.json("head", "--all", name)["tensors"]
    return tensor["values"]


def test_every_dtype_from_stored_and_deflated_archives(zct, tmp_path):
    zct.needs_zlib()
    arrays = files.every_dtype()
    np.savez(tmp_path / "stored.npz", **arrays)
    np.savez_compressed(tmp_path / "deflated.npz", **arrays)
    for kind in ("stored", "deflated"):
        zct("load", str(tmp_path / f"{kind}.npz"), "--prefix", f"{kind}/")
        zct("save", str(tmp_path / "out.npz"), "-g", f"{kind}/*", "-s", f"{kind}/")
        back = np.load(tmp_path / "out.npz")
        assert sorted(back.files) == sorted(arrays)
        for name, array in arrays.items():
            assert files.same(back[name], array), (kind, name)


def test_what_it_makes(zct, write):
    zct("load", write("m.npz", a=np.asfortranarray(np.ones((2, 3))), b=np.arange(3)))
    a, b = zct.json("ls")["tensors"]
    assert (a["name"], a["shape"], a["order"], a["dtype"]["name"]) == ("a", [2, 3], "F", "float64")
    assert a["lifetime"] == b["lifetime"] == "pinned" and a["holders"] == 0
    zct("gc", "--unheld")
    assert zct.names() == ["a", "b"]
    zct("check")


def test_it_makes_the_store_where_it_is_asked_to(zct, write):
    path = write("x.npy", x=np.arange(3))
    zct("load", "--store", "other", path)
    assert zct.names("--store", "other") == ["x"]


def test_the_format_is_told_by_what_is_in_the_file(zct, write, tmp_path):
    for i, name in enumerate(["x.npy", "x.npz", "x.safetensors"]):
        os.rename(write(name, x=np.arange(i + 1.0)), tmp_path / f"blob{i}")
    zct("load", str(tmp_path / "blob0"))
    assert content(zct, "blob0") == [0]
    for i in (1, 2):
        zct("load", str(tmp_path / f"blob{i}"), "--exists", "replace")
        assert content(zct, "x") == list(range(i + 1))


def test_several_files_and_a_prefix(zct, write):
    done = zct.json("load", write("a.npy", x=np.arange(2)), write("m.safetensors", w=np.ones(3)), "--prefix", "model/")
    assert [(tensor["name"], tensor["outcome"]) for tensor in done["tensors"]] == [("model/a", "made"), ("model/w", "made")]
    assert done["count"] == 2 and done["loaded_nbytes"] == 16 + 24
    assert done["tensors"][0]["file"].endswith("a.npy") and done["tensors"][0]["generation"] == 1
    assert content(zct, "model/a") == [0, 1] and content(zct, "model/w") == [1.0, 1.0, 1.0]
    text = zct("load", write("b.npy", x=np.arange(2))).stdout
    assert text == "1 tensor, 16 B, loaded into store 'default'\n"


def test_names_that_are_taken(zct, write):
    path = write("m.npz", a=np.arange(2), b=np.arange(3))
    zct("load", path)
    done = zct("load", path, code=1)  # pinned
    assert "'a' is there already, pinned" in done.stderr and "--exists replace" in done.stderr
    actor = zct.actor()
    actor.create("held", [1])
    done = zct("load", write("held.npy", x=np.arange(2)), code=1)
    assert "in use by a living process" in done.stderr
    actor.release("held")  # now it is a leftover
    assert zct.json("load", write("held.npy", x=np.arange(2)))["tensors"][0]["outcome"] == "replaced"


def test_one_name_that_is_taken_stops_all(zct, write):
    zct("load", write("b.npy", x=np.arange(2)))
    before = zct.json("ls")["tensors"][0]["serial"]
    zct("load", write("m.npz", a=np.ones(2), b=np.ones(2), c=np.ones(2)), code=1)
    (tensor,) = zct.json("ls")["tensors"]
    assert tensor["name"] == "b" and tensor["serial"] == before


def test_replace_is_a_new_generation_and_holders_keep_the_old(zct, write):
    zct("load", write("x.npy", x=np.arange(2)))
    actor = zct.actor()
    actor.attach("x")
    done = zct.json("load", "--exists", "replace", write("x.npy", x=np.ones(3)))
    assert done["tensors"][0]["outcome"] == "replaced" and done["tensors"][0]["generation"] == 2
    assert content(zct, "x") == [1.0, 1.0, 1.0]
    states = sorted(tensor["state"] for tensor in zct.json("ls", "--all")["tensors"])
    assert states == ["ending", "named"]
    zct("check")


def test_attach_leaves_what_is_there(zct, write):
    zct("load", write("m.npz", a=np.arange(2), b=np.arange(3)))
    path = write("m.npz", a=np.ones(2, "i8"), b=np.ones(3, "i8"), c=np.ones(4, "i8"))
    done = zct.json("load", "--exists", "attach", path)
    assert [tensor["outcome"] for tensor in done["tensors"]] == ["attached", "attached", "made"]
    assert content(zct, "a") == [0, 1] and content(zct, "c") == [1] * 4
    assert "3 were there" in zct("load", "--exists", "attach", path).stdout
    for other in (np.ones(3, "i8"), np.ones(2, "i4")):
        done = zct("load", "--exists", "attach", write("m.npz", a=other, new=np.ones(1)), code=1)
        assert "nothing was loaded" in done.stderr
    assert zct.names() == ["a", "b", "c"]


def test_attach_compares_the_fields_of_structs(zct, write):
    kind = [("x", "i4"), ("y", "f4")]
    zct("load", write("x.npy", x=np.zeros(2, kind)))
    zct("load", "--exists", "attach", write("x.npy", x=np.ones(2, kind)))
    done = zct("load", "--exists", "attach", write("x.npy", x=np.ones(2, [("x", "f4"), ("y", "i4")])), code=1)
    assert "other fields" in done.stderr


def test_names_that_cannot_be(zct, write, tmp_path):
    for names in (["x" * 256], ["x" * 250 + "/y" * 4], [""], ["a\0b"]):
        (tmp_path / "m").write_bytes(files.safetensors({name: ("F32", [0], b"") for name in names}))
        done = zct("load", str(tmp_path / "m"), code=1)
        assert "cannot be a tensor's name" in done.stderr
    one, other = write("a.npy", x=np.ones(1)), write("m.npz", a=np.ones(1))
    assert "'a' is there twice" in zct("load", one, other, code=1).stderr
    assert os.listdir(zct.directory) == []


def test_a_bad_file_among_good_ones_loads_nothing_and_makes_no_store(zct, write, tmp_path):
    (tmp_path / "bad").write_bytes(b"nothing that is known")
    zct("load", write("a.npy", x=np.ones(1)), str(tmp_path / "bad"), code=1)
    zct("load", write("a.npy", x=np.ones(1)), str(tmp_path / "missing"), code=1)
    assert os.listdir(zct.directory) == []


def test_a_store_without_room_stays_as_it_was(zct, write):
    actor = zct.actor(capacity=8 << 20)
    actor.create("mine", [1000])
    small, large = write("a.npy", x=np.ones(1000)), write("b.npy", x=np.ones(2 << 20))
    done = zct("load", small, large, code=1)
    assert "b.npy" in done.stderr and "nothing was loaded" in done.stderr
    assert zct.names() == ["mine"]
    assert zct.json("ls", "--all")["count"] == 1
    zct("check")
    zct("load", small)
    assert zct.names() == ["a", "mine"]


def test_no_private_copy(zct, write):
    """A file larger than the private memory that the process may have is loaded all the same."""
    path = write("x.npy", x=np.arange(16 << 20))
    zct("load", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (48 << 20, 48 << 20)))
    assert zct.json("head", "-n", "1", "x")["tensors"][0]["values"] == [0, (16 << 20) - 1]


def test_a_kill_in_the_middle_leaves_a_sound_store(zct, write):
    zct.actor().create("mine", [1])
    path = write("m.npz", **{f"w{i}": np.ones(1 << 20) for i in range(4)})
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        process = subprocess.Popen([zct.path, "load", path], env=zct.env, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        finished = process.wait() == 0
        assert len(zct.names()) == 5 or not finished
        zct("gc")
        zct("rm", "-f", "w0", "w1", "w2", "w3")
        zct("check")
        assert zct.json("ls", "--all")["count"] == 1


def test_an_interrupt_leaves_no_name(zct, write):
    zct.actor().create("mine", [1])
    path = write("m.npz", **{f"w{i}": np.ones(1 << 20) for i in range(4)})
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        process = subprocess.Popen([zct.path, "load", path], env=zct.env, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        process.wait()
        assert zct.names() in (["mine"], ["mine", "w0", "w1", "w2", "w3"])
        zct("rm", "-f", "w0", "w1", "w2", "w3")


def test_a_bar_on_a_terminal_alone(zct, write):
    path = write("x.npy", x=np.zeros(1 << 20))
    assert zct("load", path).stderr == ""
    leader, follower = pty.openpty()
    done = zct("load", "--exists", "replace", path, capture_output=False, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    assert done.stdout.startswith("1 tensor, 8.0 MiB")
    os.set_blocking(leader, False)
    try:
        drawn = os.read(leader, 1 << 16)
    except OSError:  # quicker than its first stroke
        drawn = b""
    os.close(leader)
    if drawn:
        assert b"loading [" in drawn and drawn.endswith(b"\r\x1b[K")


def test_many_small_ones(zct, write):
    arrays = {f"layer.{i}.weight": np.full(3, float(i)) for i in range(3000)}
    zct("load", write("m.safetensors", **arrays))
    assert zct.json("ls")["count"] == 3000
    assert content(zct, "layer.2999.weight") == [2999.0] * 3


def test_a_name_that_is_taken_at_the_last_moment(zct, write):
    """Somebody takes the last name while the bytes move: the names that were given are taken back."""
    path = write("m.safetensors", a=np.ones(3), z=np.ones(16 << 20))
    actor = zct.actor()
    for _ in range(20):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([zct.path, "load", path], env=zct.env, **pipes)
        while process.poll() is None and zct.json("ls", "--all")["count"] == 0:
            pass
        try:
            actor.create("z", [1])
        except OSError:  # load was quicker
            process.communicate(timeout=60)
            zct("rm", "a", "z")
            continue
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "'z'" in errors and "nothing was loaded" in errors
        assert zct.names() == ["z"]
        assert zct.json("ls", "--all")["count"] == 1
        zct("check")
        return
    pytest.skip("load was quicker each time")


def test_a_file_that_is_cut_short_while_it_is_loaded(zct, write):
    """Loaded, or a sentence and not one name: never half of it, never a signal."""
    zct.actor().create("mine", [1])
    for length in (0, 1 << 20, 64 << 20):
        path = write("m.safetensors", a=np.ones(3), z=np.ones(16 << 20))
        process = subprocess.Popen([zct.path, "load", path], env=zct.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        while process.poll() is None and zct.json("ls", "--all")["count"] == 1:
            pass
        os.truncate(path, length)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, 1), (process.returncode, errors)
        assert zct.names() == (["mine"] if process.returncode else ["a", "mine", "z"])
        assert process.returncode == 0 or errors.startswith(b"zct: ")
        zct("rm", "-f", "a", "z")
        zct("gc")
        assert zct.json("ls", "--all")["count"] == 1
        zct("check")
