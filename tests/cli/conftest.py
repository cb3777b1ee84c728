"""The command as a user runs it: the built binary, a directory of stores of its own for each test."""

import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile

import pytest
from zct_actor import Actor, library_path

ROOT = pathlib.Path(__file__).resolve().parents[2]


def command_path():
    build = pathlib.Path(os.environ.get("ZCT_BUILD", ROOT / "build"))
    if "ZCT_BIN" in os.environ:
        return os.environ["ZCT_BIN"]
    beside_python = pathlib.Path(sys.executable).parent / "zct"
    for path in [beside_python, shutil.which("zct"), build / "bin/zct", build / "meson/cli/zct"]:
        if path and os.path.exists(path):
            return str(path)
    pytest.skip("the command is not built: make build")


class Zct:
    """``zct("ls", "--json")`` runs the command and returns its finished process; a hang fails the test, another exit
    code than ``code`` too, unless that is None."""

    def __init__(self, path, directory):
        self.path = path
        self.directory = directory
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("ZCT_")}
        self.env["ZCT_DIR"] = directory
        self.actors = []

    def __call__(self, *arguments, code=0, **options):
        options = {"capture_output": True, "text": True, "timeout": 300, "env": self.env, **options}
        done = subprocess.run([self.path, *arguments], **options)
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def needs_zlib(self):
        """Skip the test where the command was built without zlib, and cannot have .npz files."""
        with tempfile.NamedTemporaryFile() as empty:
            empty.write(b"PK\5\6" + bytes(18))
            empty.flush()
            if "built without zlib" in self("load", empty.name, code=None).stderr:
                pytest.skip("the command was built without zlib")

    def json(self, *arguments, code=0):
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def names(self, *arguments):
        return [tensor["name"] for tensor in self.json("ls", *arguments)["tensors"]]

    def actor(self, store=None, **options):
        """Another process, a member of the store, which makes it if there is none."""
        if library_path() is None:
            pytest.skip("libzct.so is not built: make build")
        actor = Actor(self.env, store, **options)
        self.actors.append(actor)
        return actor

    def terminal(self):
        """A new terminal: its two descriptors."""
        try:
            return pty.openpty()
        except OSError as error:
            pytest.skip(f"no terminal can be had here: {error}")

    def close(self):
        for actor in self.actors:
            if actor.process.poll() is None:
                actor.kill()


@pytest.fixture
def zct():
    path = command_path()
    base = os.environ.get("ZCT_DIR") or "/dev/shm"
    directory = tempfile.mkdtemp(prefix="zct-test-", dir=base if os.access(base, os.W_OK) else None)
    command = Zct(path, directory)
    yield command
    command.close()
    shutil.rmtree(directory)
