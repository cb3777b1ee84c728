"""Words of a store overwritten at random: every command ends with an exit code and sentences, never by a signal or not at all."""

import json
import os
import random
import shutil
import subprocess

import pytest

HEADER = 520  # what a checksum covers: its damage is refused, and tested elsewhere
COMMANDS = [
    ["check"], ["check", "--repair"], ["ls", "--all"], ["ls", "--json"], ["ls", "--stores"], ["stat"], ["stat", "t1", "t2"],
    ["doctor"], ["gc"], ["gc", "--unheld"], ["trim"], ["rm", "t1"],
]  # fmt: skip


def wild(dice, word):
    """Eight bytes for what was `word`."""
    return dice.choice([
        dice.getrandbits(64),
        2**64 - 1,
        0,
        int.from_bytes(word, "little") ^ (1 << dice.randrange(64)),
        dice.randrange(1 << 20),
    ]).to_bytes(8, "little")  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_wild_words(zct, seed):
    dice = random.Random(seed)
    actor = zct.actor(capacity=8 << 20, max_names=256)
    for i in range(12):
        actor.create(f"t{i}" + "x" * 100 * (i % 3 == 0), [500] if i % 2 else [2] * (1 + i % 9), metadata="m" * i)
        actor.send(f"t{i}" + "x" * 100 * (i % 3 == 0))
    actor.kill()
    (file,) = os.listdir(zct.directory)
    path = os.path.join(zct.directory, file)
    lowest = min(tensor["offset"] for tensor in zct.json("ls")["tensors"])
    with open(path, "rb") as image:
        control = image.read(lowest)
    used = [at for at in range(HEADER, lowest, 8) if any(control[at : at + 8])]
    for _ in range(3):
        shutil.copy(path, path + ".sound")
        with open(path, "r+b", buffering=0) as image:
            for _ in range(dice.choice([1, 5, 50])):
                at = dice.choice(used)
                image.seek(at)
                image.write(wild(dice, control[at : at + 8]))
        for command in dice.sample(COMMANDS, 3):
            done = subprocess.run([zct.path, *command], env=zct.env, capture_output=True, timeout=120)
            assert done.returncode in (0, 1, 2), (command, done)
            if "--json" in command and done.stdout:
                json.loads(done.stdout)
        os.rename(path + ".sound", path)
