"""zct rm, gc, trim: what changes a store."""

import os
import time


def test_rm_ends_names(zct):
    actor = zct.actor()
    for name in ("a", "b", "-c", "pinned"):
        actor.create(name, lifetime="pinned" if name == "pinned" else "persistent")
    assert zct("rm", "a", "pinned").stdout == ""
    assert zct.names() == ["-c", "b"]
    zct("rm", "--", "-c")
    assert zct.names() == ["b"]
    assert zct.json("stat")["stats"]["names"] == 4  # the actor holds them all
    actor.leave()
    assert zct.names() == ["b"] and zct.json("stat")["stats"]["names"] == 1
    zct("check")


def test_rm_of_the_last_name_removes_the_store_when_nobody_uses_it(zct):
    actor = zct.actor()
    actor.create("w")
    actor.leave()
    zct("rm", "w")
    assert os.listdir(zct.directory) == []


def test_rm_goes_on_after_a_missing_name(zct):
    actor = zct.actor()
    actor.create("a")
    actor.create("b")
    done = zct("rm", "a", "nothing", "b", code=1)
    assert done.stderr.startswith("zct: ") and "nothing" in done.stderr
    assert zct.names() == []
    actor.create("c")
    zct("rm", "--force", "nothing")
    result = zct.json("rm", "c", "nothing", code=1)
    assert result["removed"] == ["c"]
    assert result["failed"] == [{"name": "nothing", "error": "ZCT_ENOTFOUND"}]


def test_rm_by_pattern(zct):
    actor = zct.actor()
    for name in ("m/1", "m/2/x", "n", "*"):
        actor.create(name)
    zct("rm", "*")  # a name, without --glob
    assert zct.names() == ["m/1", "m/2/x", "n"]
    assert sorted(zct.json("rm", "--glob", "m/*")["removed"]) == ["m/1", "m/2/x"]
    done = zct("rm", "--glob", "m/*", code=1)
    assert "m/*" in done.stderr
    zct("rm", "--force", "--glob", "m/*")
    assert zct.names() == ["n"]


def test_rm_of_stores(zct):
    actor = zct.actor("used")
    actor.create("w")
    idle = zct.actor("idle")
    idle.create("w")
    idle.leave()
    done = zct("rm", "--stores", "used", code=1)
    assert "--force" in done.stderr and "1 member" in done.stderr
    assert zct.json("rm", "--stores", "idle")["removed"] == ["idle"]
    assert [store["name"] for store in zct.json("ls", "--stores")["stores"]] == ["used"]
    zct("rm", "--stores", "--force", "used", "never-there")
    assert os.listdir(zct.directory) == []
    zct("rm", "--stores", "used", code=1)


def test_gc_reaps_the_dead(zct):
    zct.actor().create("keeps the store")
    actors = [zct.actor() for _ in range(3)]
    for actor in actors:
        actor.create(None, [1000])
    for actor in actors:
        actor.kill()
    result = zct.json("gc")
    assert result["members"] == 3
    assert result["tensors"] == 3
    assert zct.json("gc")["members"] == 0
    assert zct.names("--all") == ["keeps the store"]
    zct("check")


def test_gc_counts_what_joining_reaped_already(zct):
    zct.actor().create("keeps the store")
    actor = zct.actor()
    actor.create("its own", [5], lifetime="owner")
    actor.kill()
    result = zct.json("gc")
    assert result["members"] == 1 and result["tensors"] == 1
    assert zct.names() == ["keeps the store"]


def test_gc_text(zct):
    zct.actor().create("w")
    assert zct("gc").stdout == "0 dead processes reaped, 0 tensors ended, 0 references in flight dropped\n"


def test_gc_unheld_ends_what_nobody_holds(zct):
    actor = zct.actor()
    for name in ("held", "sent", "idle", "pinned"):
        actor.create(name, [10], lifetime="pinned" if name == "pinned" else "persistent")
    actor.send("sent")
    for name in ("sent", "idle", "pinned"):
        actor.release(name)
    zct("gc")
    assert zct.names() == ["held", "idle", "pinned", "sent"]
    zct("gc", "--unheld", "--older-than", "1h")
    assert zct.names() == ["held", "idle", "pinned", "sent"]
    assert zct.json("gc", "--unheld")["tensors"] == 1
    assert zct.names() == ["held", "pinned", "sent"]


def test_gc_older_than(zct):
    """Between two births lies a gap; its middle parts them, unless the command comes so late that both are older."""
    actor = zct.actor()
    for gap in (0.2, 1, 5, 25):
        actor.create("old")
        actor.release("old")
        time.sleep(gap)
        actor.create("young")
        actor.release("young")
        young = zct.json("stat", "young")["tensors"][0]["born_ns"]
        age = time.time_ns() - young + int(gap * 1e9 / 2)
        zct("gc", "--unheld", "--older-than", f"{age}ns")
        left = zct.names()
        assert "old" not in left
        if left:
            break
    assert left == ["young"]


def test_trim_returns_free_memory(zct):
    actor = zct.actor(capacity=256 << 20)
    actor.create("large", [4 << 20])
    actor.create("small", [16])
    actor.unlink("large")
    actor.release("large")
    zct("trim", "--keep", "1G")
    free = zct.json("stat")["stats"]["warm_free"]
    assert free >= 16 << 20
    returned = zct.json("trim", "-k", "4M")["returned"]
    assert 12 << 20 <= returned <= free
    assert zct.json("stat")["stats"]["warm_free"] <= free - returned
    assert zct("trim").stdout.endswith(" returned to the system\n")
    assert zct.json("stat")["stats"]["resident"] < 16 << 20
    zct("check")
