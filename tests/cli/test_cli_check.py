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


def zct_code(zct, *arguments):
    return subprocess.run([zct.path, *arguments], env=zct.env, capture_output=True, timeout=60).returncode
