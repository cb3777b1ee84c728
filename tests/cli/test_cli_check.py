"""zct check: 0 whole, 1 findings, 2 cannot open."""

import os
import subprocess


def test_a_whole_store(zct):
    actor = zct.actor()
    actor.create("w", [100])
    assert zct("check").stdout == "store 'default' is whole: 1 tensor, 1 member\n"
    result = zct.json("check")
    assert result["findings"] == [] and result["whole"] is True


def test_the_dead_are_no_finding(zct):
    for _ in range(3):
        actor = zct.actor()
        actor.create(None, [5000])
        actor.create(f"left by {actor.pid}")
        actor.kill()
    zct("check")
    assert zct.json("check")["whole"] is True


def test_a_busy_store_has_no_finding(zct):
    actor = zct.actor(max_names=5000)
    for round in range(5):
        done = actor.meanwhile("many", 500, f"{round}/")
        for _ in range(5):
            assert zct.json("check")["whole"] is True
        done()


def test_damage_is_found_or_refused(zct):
    """Overwrite pieces of the control part: each is code 0 (a hint), 1 or 2, never a signal or a hang."""
    actor = zct.actor(capacity=64 << 20, max_names=256)
    for i in range(20):
        actor.create(f"t{i}", [1000])
    (file,) = os.listdir(zct.directory)
    path = os.path.join(zct.directory, file)
    lowest = min(tensor["offset"] for tensor in zct.json("ls")["tensors"])
    actor.kill()
    with open(path, "rb") as image:
        control = image.read(lowest)
    used = [at for at in range(0, len(control), 512) if any(control[at : at + 512])]
    codes = []
    for at in used[:: max(1, len(used) // 40)]:
        with open(path, "r+b", buffering=0) as image:
            image.seek(at)
            image.write(b"\xa5" * 512)
            codes += [zct_code(zct, *command) for command in (["check"], ["ls", "--all"], ["stat", "t0"], ["stat"])]
            image.seek(at)
            image.write(control[at : at + 512])
        assert set(codes[-4:]) <= {0, 1, 2}, f"damage at {at}: {codes[-4:]}"
    assert any(codes[::4]), "no damage was noticed"
    zct("check")


def overwrite_the_index(zct, path):
    """Wipe the piece of the control part whose loss makes names impossible to find."""
    lowest = min(tensor["offset"] for tensor in zct.json("ls")["tensors"])
    with open(path, "rb") as image:
        control = image.read(lowest)
    for at in range(8192, len(control), 4096):
        if not any(control[at : at + 4096]):
            continue
        with open(path, "r+b", buffering=0) as image:
            image.seek(at)
            image.write(bytes(4096))
            if any("is not in the index" in finding for finding in zct.json("check", code=None)["findings"]):
                return
            image.seek(at)
            image.write(control[at : at + 4096])
    raise AssertionError("the index was not found")


def test_repair_rebuilds_what_is_derived(zct):
    actor = zct.actor(capacity=64 << 20, max_names=256)
    for i in range(20):
        actor.create(f"t{i}", [1000])
    (file,) = os.listdir(zct.directory)
    overwrite_the_index(zct, os.path.join(zct.directory, file))
    zct("stat", "t0", code=1)
    broken = zct.json("check", code=1)
    assert broken["whole"] is False and broken["repaired_from"] is None
    assert zct("check", code=1).stderr == f"zct: store 'default' is not whole: {len(broken['findings'])} findings\n"
    mended = zct.json("check", "--repair")
    assert mended["whole"] is True and mended["findings"] == []
    assert mended["repaired_from"] == len(broken["findings"])
    zct("stat", *(f"t{i}" for i in range(20)))
    assert zct("check", "-r").stdout.startswith("rebuilt what is derived; there were 0 findings before\n")
    actor.create("t0", [1000], exists="replace")


def zct_code(zct, *arguments):
    return subprocess.run([zct.path, *arguments], env=zct.env, capture_output=True, timeout=300).returncode
