"""zct watch: lines on a pipe, a screen on a terminal, and an orderly end of both."""

import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

PATIENCE = 30


@contextlib.contextmanager
def watching(zct, *arguments):
    """The process with its output as lines; it is ended and waited for."""
    process = subprocess.Popen(
        [zct.path, "watch", "--interval", "50ms", *arguments],
        env=zct.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.rest = ""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def line(process):
    """The next line; what came behind it is kept in the process's `rest`."""
    while "\n" not in process.rest:
        assert select.select([process.stdout], [], [], PATIENCE)[0], "no line came"
        more = os.read(process.stdout.fileno(), 65536).decode()
        assert more, "it ended"
        process.rest += more
    text, process.rest = process.rest.split("\n", 1)
    return text


def event(process):
    document = json.loads(line(process))
    assert document["schema"] == 1 and document["command"] == "watch" and document["moment_ns"] > 0
    return document["event"], document.get("tensor", document.get("store"))


def test_lines_of_what_happens(zct):
    actor = zct.actor()
    actor.create("w", [2, 3])
    with watching(zct) as process:
        assert "opened" in line(process)
        born = line(process)
        assert " born " in born and "w  float32 2x3  24 B  generation 1  held by 1" in born
        actor.create("x", [5])
        assert " born " in line(process)
        actor.release("x")
        assert "held by 1, now 0" in line(process)
        actor.unlink("x")
        ended = line(process)
        assert " ended " in ended and " x  " in ended
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.rest + process.stdout.read() == "" and process.stderr.read() == ""


def test_json_lines(zct):
    actor = zct.actor()
    actor.create("a/w", [2, 3])
    actor.create("b", [2, 3])
    with watching(zct, "--json", "a/*") as process:
        what, store = event(process)
        assert what == "opened" and store["name"] == "default"
        what, tensor = event(process)
        assert (what, tensor["name"], tensor["shape"]) == ("born", "a/w", [2, 3])
        actor.create("b2", [1])
        actor.create("a/w", [4], exists="replace")
        happened = sorted((event(process) for _ in range(2)), key=lambda pair: pair[0])
        assert [(what, tensor["name"], tensor["generation"]) for what, tensor in happened] == [
            ("born", "a/w", 2),
            ("ended", "a/w", 1),
        ]


def test_a_store_is_waited_for_and_may_go_and_come(zct):
    with watching(zct, "--json", "--store", "later") as process:
        for _ in range(2):
            actor = zct.actor("later")
            actor.create("w", [1])
            assert event(process)[0] == "opened"
            assert event(process)[0] == "born"
            zct("rm", "--force", "--stores", "later")
            assert event(process)[0] == "ended"
            assert event(process)[0] == "closed"
            actor.leave()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_it_ends_with_its_reader(zct):
    zct.actor().create("w", [1])
    with watching(zct) as process:
        line(process)
        line(process)
        process.stdout.close()
        process.stdout = open(os.devnull)
        assert process.wait(PATIENCE) == 0 and process.stderr.read() == ""


def test_it_joins_nothing(zct):
    actor = zct.actor()
    with watching(zct) as process:
        line(process)
        assert zct.json("stat")["stats"]["members"] == 1
        actor.leave()  # the last one to leave an empty store takes it along
        assert "closed" in line(process)
        assert os.listdir(zct.directory) == []


class Screen:
    def __init__(self, zct, *arguments, rows=24):
        self.master, slave = zct.terminal()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
        self.process = subprocess.Popen(
            [zct.path, "watch", "--interval", "50ms", *arguments],
            env=zct.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def until(self, word):
        end = time.monotonic() + PATIENCE
        while word not in self.text:
            assert select.select([self.master], [], [], max(0, end - time.monotonic()))[0], (word, self.text)
            self.text += os.read(self.master, 65536).decode()
        self.text, seen = "", self.text
        return seen

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def screen(zct):
    screens = []

    def start(*arguments, **options):
        screens.append(Screen(zct, *arguments, **options))
        return screens[-1]

    yield start
    for one in screens:
        one.close()


def test_a_screen_is_drawn_again_and_put_back(zct, screen):
    actor = zct.actor()
    actor.create("first", [3])
    shown = screen()
    assert shown.until("first").startswith("\x1b[?1049h")
    actor.create("second\x1b[2J", [3])
    assert "\x1b[2J" not in shown.until("second")
    shown.process.send_signal(signal.SIGTSTP)
    shown.until("\x1b[?1049l")
    os.waitpid(shown.process.pid, os.WUNTRACED)
    shown.process.send_signal(signal.SIGCONT)
    shown.until("\x1b[?1049h")
    shown.until("first")
    shown.process.send_signal(signal.SIGINT)
    shown.until("\x1b[?1049l")
    assert shown.process.wait(PATIENCE) == 0


def test_a_long_list_is_cut_to_the_screen(zct, screen):
    zct.actor().many(50)
    shown = screen(rows=12)
    text = shown.until("... and 43 more")
    assert "50 tensors" in text


def test_a_screen_waits_for_its_store(zct, screen):
    shown = screen("--store", "later")
    shown.until("waiting for the store")
    zct.actor("later").create("w", [1])
    shown.until("float32")


def test_usage(zct):
    assert "--interval takes a time" in zct("watch", "--interval", "soon", code=2).stderr
    assert "--interval takes a time" in zct("watch", "-i", "0", code=2).stderr
    assert "--sort takes" in zct("watch", "--sort", "colour", code=2).stderr
    assert "one GLOB" in zct("watch", "a", "b", code=2).stderr
    zct("watch", "--store", "/etc/passwd", code=2)
