"""zct ls: tensors and stores, as text and as JSON."""

import os
import re
import subprocess

import pytest


def lines(done):
    return done.stdout.splitlines()


def test_an_empty_store(zct):
    zct.actor()
    assert zct("ls").stdout == ""
    listed = zct.json("ls")
    assert listed["tensors"] == [] and listed["count"] == 0 and listed["complete"] is True


def test_text_has_a_heading_and_a_line_each(zct):
    actor = zct.actor()
    actor.create("model/layer.1.weight", [1000, 1000])
    actor.create("bias", [], lifetime="pinned", sealed=True)
    other = zct.actor()
    other.attach("model/layer.1.weight")
    heading, first, second = lines(zct("ls"))
    assert heading.split() == ["NAME", "DTYPE", "SHAPE", "SIZE", "GEN", "HELD", "AGE", "FLAGS"]
    assert re.fullmatch(r"bias +float32 +scalar +4 B +1 +1 +\d+s +pinned,sealed", first)
    assert re.fullmatch(r"model/layer.1.weight +float32 +1000x1000 +3.8 MiB +1 +2 +\d+s +-", second)
    assert " 4000000 " in zct("ls", "--bytes").stdout


def test_json_members(zct):
    actor = zct.actor()
    actor.create("w", [2, 3], order="F", big_endian=True)
    actor.create("w", [2, 3], order="F", big_endian=True, exists="replace")
    actor.send("w")
    listed = zct.json("ls")
    assert list(listed) == ["schema", "command", "store", "tensors", "count", "nbytes", "complete"]
    assert listed["schema"] == 1 and listed["command"] == "ls"
    assert listed["count"] == 1 and listed["nbytes"] == 24
    assert listed["store"]["name"] == "default"
    assert re.fullmatch("[0-9a-f]{32}", listed["store"]["uuid"])
    (tensor,) = listed["tensors"]
    assert tensor["name"] == "w"
    assert tensor["dtype"]["name"] == "float32" and tensor["dtype"]["byteorder"] == "big"
    assert tensor["shape"] == [2, 3] and tensor["strides"] == [4, 8] and tensor["order"] == "F"
    assert tensor["nbytes"] == 24 and tensor["extent_bytes"] >= 24
    assert tensor["generation"] == 2 and tensor["holders"] == 1 and tensor["handles"] == 1
    assert tensor["lifetime"] == "persistent" and tensor["sealed"] is False and tensor["state"] == "named"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", tensor["born"])
    assert tensor["born_ns"] > 1_600_000_000 * 10**9


def test_glob_sort_and_reverse(zct):
    actor = zct.actor()
    for name, size in [("a/b", 3), ("c", 100), ("a/a", 7), ("[x]", 1)]:
        actor.create(name, [size])
    actor.release("c")
    assert zct.names() == ["[x]", "a/a", "a/b", "c"]
    assert zct.names("--reverse") == ["c", "a/b", "a/a", "[x]"]
    assert zct.names("--sort", "size") == ["c", "a/a", "a/b", "[x]"]
    assert zct.names("--sort", "age") == ["a/b", "c", "a/a", "[x]"]
    assert zct.names("--sort=held")[-1] == "c"
    assert sorted(zct.names("-s", "none")) == ["[x]", "a/a", "a/b", "c"]
    assert zct.names("a*") == ["a/a", "a/b"]
    assert zct.names("?") == ["c"]
    assert zct.names("\\[x]") == ["[x]"]
    assert zct.names("nothing") == []


def test_all_lists_the_nameless(zct):
    actor = zct.actor()
    actor.create("kept", [4])
    actor.create(None, [4])
    actor.create("ended", [4])
    actor.unlink("ended")
    assert zct.names() == ["kept"]
    tensors = zct.json("ls", "--all")["tensors"]
    assert sum(tensor["state"] == "nameless" and tensor["name"] is None for tensor in tensors) >= 1
    assert len(tensors) == 3
    assert "(nameless)" in zct("ls", "--all").stdout


HOSTILE = [
    "two\nlines",
    "\x1b[31mred",
    "tab\there",
    'quote"back\\slash',
    "del\x7f",
    "c1\x9b31m",
    "turn\u202earound",
    "snowman\u2603",
    "\u65e5\u672c",
    "smile\U0001f600",
    " blank ",
]


def test_hostile_names(zct):
    actor = zct.actor()
    for name in HOSTILE:
        actor.create(name)
    assert sorted(zct.names()) == sorted(HOSTILE)
    for option in ([], ["--names"], ["--json"]):
        done = zct("ls", *option)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout), option
    assert len(lines(zct("ls", "--names"))) == len(HOSTILE)
    assert "\\x1b[31mred" in lines(zct("ls", "--names"))
    assert 'quote"back\\\\slash' in lines(zct("ls", "--names"))
    assert "two\\nlines" in zct("stat", "two\nlines").stdout
    done = zct("rm", "no\x1b[2Jsuch", code=1)
    assert "\x1b" not in done.stderr


def test_stores(zct):
    assert zct("ls", "--stores").stdout == ""
    assert zct.json("ls", "--stores")["stores"] == []
    zct.actor("first").create("w", [1000])
    zct.actor("second")
    heading, first, second = lines(zct("ls", "--stores"))
    assert heading.split() == ["NAME", "UID", "TENSORS", "USED", "RESIDENT", "CAPACITY", "MEMBERS", "PATH"]
    assert first.split()[0] == "first" and second.split()[0] == "second"
    stores = zct.json("ls", "--stores")["stores"]
    assert [store["names"] for store in stores] == [1, 0]
    assert [store["members"] for store in stores] == [1, 1]
    assert stores[0]["uid"] == os.getuid() and stores[0]["mode"] == "0600" and stores[0]["error"] is None
    assert [store["name"] for store in zct.json("ls", "--stores", "f*")["stores"]] == ["first"]


def test_a_store_that_cannot_be_opened_is_listed_with_its_reason(zct):
    zct.actor("good")
    path = zct.json("ls", "--stores")["stores"][0]["path"]
    with open(path.replace("good", "ugly"), "wb") as file:
        file.write(b"\0" * 4096)
    done = zct("ls", "--stores", code=1)
    assert "zct: " in done.stderr and "?" in done.stdout
    stores = zct.json("ls", "--stores", code=1)["stores"]
    assert [store["error"] is None for store in stores] == [True, False]


def test_looking_joins_nothing_and_never_removes_the_store(zct):
    zct.actor().kill()  # a dead member, nobody has reaped it; the store is empty
    (file,) = os.listdir(zct.directory)
    path = os.path.join(zct.directory, file)
    before = os.stat(path)
    for command in (["ls"], ["ls", "--all", "--json"], ["ls", "--stores"], ["stat"], ["check"]):
        zct(*command)
    after = os.stat(path)
    assert (before.st_ino, before.st_mtime_ns, before.st_blocks) == (after.st_ino, after.st_mtime_ns, after.st_blocks)
    zct("gc")  # a member, the last one to leave an empty store
    assert os.listdir(zct.directory) == []


def test_a_reader_of_the_file_may_look(zct):
    if os.getuid() != 0:
        pytest.skip("needs root, to become somebody else")
    zct.actor(store="shared").create("w", [3])
    (file,) = os.listdir(zct.directory)
    path = os.path.join(zct.directory, file)
    os.chmod(zct.directory, 0o755)
    become = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        subprocess.run([zct.path, "--version"], **become, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the command lies where nobody else may run it")
    done = zct("ls", "--store", path, code=2, **become)
    assert done.stderr.startswith("zct: ")
    os.chmod(path, 0o644)
    assert "w" in zct("ls", "--store", path, **become).stdout
    assert "whole" in zct("check", "--store", path, **become).stdout
    assert "held by" in zct("stat", "w", "--store", path, **become).stdout
    zct("rm", "w", "--store", path, code=2, **become)
    assert zct.names("--store", path) == ["w"]


def test_a_long_list_streams(zct):
    """Beyond the window the store's order; every name exactly once; an order that was asked for is kept."""
    count = 30_000
    zct.actor(capacity=1 << 30, max_names=count + 1000).many(count)
    listed = lines(zct("ls", "--names"))
    assert len(listed) == count and len(set(listed)) == count
    ordered = lines(zct("ls", "--names", "--sort", "name"))
    assert ordered == sorted(listed)
    assert zct.json("ls")["count"] == count
    assert len(lines(zct("ls", "t1*", "--names"))) == sum(str(i).startswith("1") for i in range(count))
