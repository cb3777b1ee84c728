"""zct stat: a tensor with its holders, and the store."""

import os
import sys

import zct_actor


def test_a_tensor_as_text(zct):
    actor = zct.actor()
    actor.create("w", [1000, 1000], order="F")
    text = zct("stat", "w").stdout
    assert text.splitlines()[0] == "w"
    for piece in (
        "float32, 4 bytes",
        "1000x1000, order F",
        "strides     4 4000",
        "3.8 MiB (4000000 bytes)",
        "generation  1",
        "persistent",
        "held by     1 process\n",
        str(actor.pid),
        sys.executable[:40],  # a command's head; the tree may lie deep
    ):
        assert piece in text, piece


def test_a_tensor_as_json(zct):
    actor = zct.actor()
    actor.create("w", [5])
    actor.send("w")
    other = zct.actor()
    other.attach("w")
    (tensor,) = zct.json("stat", "w")["tensors"]
    assert tensor["holders"] == 2 and tensor["handles"] == 1
    held_by = {process["pid"]: process for process in tensor["held_by"]}
    assert set(held_by) == {actor.pid, other.pid}
    process = held_by[actor.pid]
    assert process["holds"] == 1 and process["handles"] == 1 and process["uid"] == os.getuid()
    assert process["same_pid_namespace"] is True and len(process["command"]) > 20
    # The head of the command line, as long as it fits: the tree may lie deep.
    assert f"{sys.executable} {os.path.abspath(zct_actor.__file__)}".startswith(process["command"])
    assert process["joined_ns"] >= tensor["born_ns"] - 60 * 10**9
    assert process["oldest_handle_ns"] >= process["joined_ns"]
    assert held_by[other.pid]["oldest_handle"] is None
    assert zct.json("ls")["tensors"][0].items() <= tensor.items()


def test_what_it_carries(zct):
    actor = zct.actor()
    fields = '{"fields": [["x", "float32", 0]]}'
    actor.create("w", [5], metadata="from: caf\u00e9\n")
    actor.create("s", [5], descriptor=fields)
    plain, struct = zct.json("stat", "w", "s")["tensors"]
    assert plain["metadata"] == "from: caf\u00e9\n" and plain["metadata_bytes"] == 12
    assert plain["descriptor"] is None and plain["metadata_hex"] is None
    assert struct["descriptor"] == fields and struct["descriptor_bytes"] == len(fields) and struct["metadata"] is None
    assert struct["dtype"]["name"] == "struct"
    text = zct("stat", "w", "s").stdout
    assert "metadata    from: caf\u00e9\\n\n" in text and "fields      " + fields in text
    actor.create("long", metadata="m" * 65535)
    assert zct.json("stat", "long")["tensors"][0]["metadata"] == "m" * 65535
    assert "65535 bytes; --json has them all" in zct("stat", "long").stdout


def test_where_it_lies(zct):
    """offset and nbytes lead to the payload in the file, page-aligned for a page or more."""
    zct.actor().create("w", [4096])
    described = zct.json("stat", "w")
    (tensor,) = described["tensors"]
    assert tensor["offset"] % 4096 == 0
    with open(described["store"]["path"], "rb") as file:
        assert tensor["offset"] + tensor["extent_bytes"] <= os.fstat(file.fileno()).st_size
        file.seek(tensor["offset"])
        assert file.read(tensor["nbytes"]) == bytes(tensor["nbytes"])


def test_several_names_and_a_missing_one(zct):
    actor = zct.actor()
    actor.create("a")
    actor.create("b")
    done = zct("stat", "a", "nothing", "b", code=1)
    assert "zct: " in done.stderr and "nothing" in done.stderr
    assert [line for line in done.stdout.splitlines() if not line.startswith(" ")] == ["a", "b"]
    tensors = zct.json("stat", "a", "nothing", "b", code=1)["tensors"]
    assert [tensor.get("error") for tensor in tensors] == [None, "ZCT_ENOTFOUND", None]


def test_a_dead_holder_is_not_listed(zct):
    actor = zct.actor()
    actor.create("w")
    other = zct.actor()
    other.attach("w")
    other.kill()
    (tensor,) = zct.json("stat", "w")["tensors"]
    assert tensor["holders"] == 1
    assert [process["pid"] for process in tensor["held_by"]] == [actor.pid]


def test_the_store(zct):
    actor = zct.actor()
    actor.create("w", [1 << 20])
    described = zct.json("stat")
    stats = described["stats"]
    assert stats["names"] == 1 and stats["members"] == 1 and stats["births"] == 1
    assert stats["used"] >= 4 << 20 and stats["resident"] >= stats["used"]
    assert [member["pid"] for member in described["members"]] == [actor.pid]
    assert described["members"][0]["holds"] == 1
    text = zct("stat").stdout
    assert text.startswith("store 'default' at ") and str(actor.pid) in text


def test_a_name_that_can_be_none(zct):
    zct.actor()
    for name in ("", "x" * 256, "a\udcffb"):
        done = zct("stat", name.encode("utf-8", "surrogateescape"), code=1, text=False)
        assert done.stderr.startswith(b"zct: ")
