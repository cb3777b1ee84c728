"""zct doctor: each condition is built, as files of a system below --root or for real, and must be found with its remedy."""

import json
import mmap
import os
import resource
import subprocess

import pytest

CHECKS = [
    "directory", "size", "container", "cgroup", "huge-pages", "numa", "mappings", "address-space", "file-size",
    "locked-memory", "remove-ipc", "locks", "nameless-files", "wipe-on-fork", "populate", "futex_waitv", "memfd",
    "stale-store", "leftovers",
]  # fmt: skip


def findings(zct, *arguments, code=None, **options):
    done = zct("doctor", "--json", *arguments, code=code, **options)
    assert done.returncode in (0, 1)
    result = json.loads(done.stdout)
    assert list(result) == ["schema", "command", "directory", "findings", "worst"]
    for finding in result["findings"]:
        assert list(finding) == ["check", "level", "found", "why", "fix"]
    levels = {finding["level"] for finding in result["findings"]}
    assert result["worst"] == next(level for level in ("warn", "note", "ok") if level in levels)
    assert (done.returncode == 1) == (result["worst"] == "warn")
    return {finding["check"]: finding for finding in result["findings"]}


@pytest.fixture
def system(tmp_path):
    """Write files of a system that is looked at by --root."""

    def write(files):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return f"--root={tmp_path}"

    return write


def test_each_examination_says_something(zct):
    assert list(findings(zct)) == CHECKS
    text = zct("doctor", code=None).stdout
    assert [line.split()[1] for line in text.splitlines()[:-1] if not line.startswith(" ")] == CHECKS
    explained = zct("doctor", "--explain", code=None).stdout
    assert explained.count("\n      why ") == len(CHECKS)


def test_it_changes_nothing_and_joins_nothing(zct):
    actor = zct.actor()
    actor.create("w", [1000])
    actor.kill()
    (file,) = os.listdir(zct.directory)
    before = os.stat(os.path.join(zct.directory, file))
    findings(zct)
    assert os.listdir(zct.directory) == [file]
    after = os.stat(os.path.join(zct.directory, file))
    assert (before.st_mtime_ns, before.st_blocks, before.st_ino) == (after.st_mtime_ns, after.st_blocks, after.st_ino)


def test_no_directory(zct):
    found = findings(zct, "--dir", "/nowhere at all", code=1)
    assert found["directory"]["level"] == "warn" and "/nowhere at all" in found["directory"]["found"]
    assert "'/nowhere at all'" in found["directory"]["fix"]


def test_a_directory_on_a_disk(zct):
    if findings(zct, "--dir", "/proc")["directory"]["level"] == "ok":
        pytest.skip("/proc is no file system of its own here")
    found = findings(zct, "--dir", "/proc")
    assert found["directory"]["level"] in ("note", "warn")


def test_a_small_file_system(zct, tmp_path):
    script = f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {zct.path} doctor --json --dir {tmp_path}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    if not done.stdout:
        pytest.skip("may not mount a file system: " + done.stderr.strip())
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["size"]["level"] == "note" and "1.0 MiB in all" in found["size"]["found"]
    assert "size=" in found["size"]["fix"]


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        (".dockerenv", "", "Docker"),
        ("run/.containerenv", "", "Podman"),
        ("proc/1/cgroup", "0::/kubepods/pod1/x\n", "Kubernetes"),
        ("run/systemd/container", "lxc\n", "lxc"),
    ],
)
def test_containers(zct, system, path, text, kind):
    found = findings(zct, system({path: text}))["container"]
    assert found["level"] == "note" and kind in found["found"] and "--ipc=" in found["fix"]


def test_no_container(zct, system):
    assert findings(zct, system({"proc/1/cgroup": "0::/init.scope\n"}))["container"]["level"] == "ok"


def test_the_cgroup_above_counts_and_page_cache_does_not(zct, system):
    group = "sys/fs/cgroup/a"
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        f"{group}/b/memory.max": "max\n",
        f"{group}/b/memory.current": "5000\n",
        f"{group}/memory.max": f"{100 << 20}\n",
        f"{group}/memory.current": f"{90 << 20}\n",
        f"{group}/memory.stat": f"anon 5\ninactive_file {20 << 20}\nactive_file {20 << 20}\n",
        f"{group}/memory.events": "low 0\noom 0\noom_kill 0\n",
    }
    found = findings(zct, system(files))["cgroup"]
    assert found["level"] == "note" and found["found"] == "limit 100 MiB, 50.0 MiB left"
    files[f"{group}/memory.current"] = f"{139 << 20}\n"
    assert findings(zct, system(files))["cgroup"]["level"] == "warn"
    files[f"{group}/memory.current"] = f"{50 << 20}\n"
    files[f"{group}/memory.events"] = "oom_kill 3\n"
    assert "killed 3" in findings(zct, system(files))["cgroup"]["found"]


def test_cgroups_of_version_1(zct, system):
    files = {
        "proc/self/cgroup": "4:cpu,memory:/x\n0::/\n",
        "sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{1 << 30}\n",
        "sys/fs/cgroup/memory/x/memory.usage_in_bytes": f"{1 << 29}\n",
    }
    assert findings(zct, system(files))["cgroup"]["found"] == "limit 1.0 GiB, 512 MiB left"
    assert findings(zct, system({"proc/self/cgroup": "0::/\n"}))["cgroup"]["level"] == "ok"


def test_huge_pages(zct, system):
    def look(word, options):
        knob = " ".join(f"[{w}]" if w == word else w for w in ("always", "within_size", "advise", "never", "deny", "force"))
        mount = f"25 1 0:23 / {zct.directory} rw - tmpfs tmpfs rw,size=64k{options}\n"
        root = system({
            "sys/kernel/mm/transparent_hugepage/shmem_enabled": knob + "\n",
            "proc/self/mountinfo": "1 0 0:1 / / rw - ext4 /dev/x rw,huge=always\n" + mount,
        })  # fmt: skip
        return findings(zct, root)["huge-pages"]

    assert look("never", "")["level"] == "note" and "huge=never" in look("never", "")["found"]
    assert "remount,huge=within_size" in look("never", "")["fix"]
    assert look("never", ",huge=within_size,x=1")["level"] == "ok"
    assert look("deny", ",huge=always")["level"] == "note"
    assert look("force", "")["level"] == "ok"


def test_numa_nodes(zct, system):
    found = findings(zct, system({"sys/devices/system/node/online": "0-1,4\n"}))["numa"]
    assert found["level"] == "note" and found["found"] == "3 nodes (0-1,4)" and "numactl" in found["fix"]
    assert findings(zct, system({"sys/devices/system/node/online": "0\n"}))["numa"]["level"] == "ok"


def test_few_mappings(zct, system):
    found = findings(zct, system({"proc/sys/vm/max_map_count": "1000\n"}))["mappings"]
    assert found["level"] == "note" and "1000" in found["found"] and "sysctl" in found["fix"]


def test_remove_ipc(zct, system):
    assert findings(zct, system({"run/x": ""}))["remove-ipc"]["found"] == "no logind here"
    default = {"run/systemd/seats/x": "", "etc/systemd/logind.conf": "[Login]\n#RemoveIPC=no\n"}
    yes = findings(zct, system(default))["remove-ipc"]
    assert yes["found"].startswith("RemoveIPC=yes") and "RemoveIPC=no" in yes["fix"]
    assert yes["level"] == ("note" if os.getuid() >= 1000 else "ok")
    no = findings(zct, system({"etc/systemd/logind.conf": "[Login]\nRemoveIPC = no\n"}))["remove-ipc"]
    assert no["level"] == "ok" and "RemoveIPC=no" in no["found"]
    again = system({"etc/systemd/logind.conf.d/90-x.conf": "[Login]\nRemoveIPC=yes\n"})
    assert findings(zct, again)["remove-ipc"]["found"].startswith("RemoveIPC=yes")


@pytest.mark.parametrize(
    ("check", "which", "soft"),
    [("address-space", resource.RLIMIT_AS, 32 << 20), ("file-size", resource.RLIMIT_FSIZE, 1 << 20)],
)
def test_limits_that_no_store_fits_in(zct, check, which, soft):
    hard = resource.getrlimit(which)[1]
    limited = {"preexec_fn": lambda: resource.setrlimit(which, (soft, hard))}
    if zct("--version", code=None, **limited).returncode:
        pytest.skip("this build of the command does not start under the limit")
    found = findings(zct, **limited)[check]
    assert found["level"] == "warn" and "MiB" in found["found"] and "ulimit" in found["fix"]


def test_little_locked_memory(zct):
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    found = findings(zct, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, hard)))["locked-memory"]
    assert found["level"] == "note" and found["found"] == "64.0 KiB"


def test_the_kernel_here_has_what_the_library_needs(zct):
    found = findings(zct)
    assert found["locks"]["level"] == "ok" and found["wipe-on-fork"]["level"] == "ok"


def test_stale_stores(zct):
    actor = zct.actor("left")
    actor.create("w", [1000])
    alive = zct.actor("used")
    alive.create("w", [1000])
    assert findings(zct)["stale-store"]["level"] == "ok"
    actor.kill()
    found = findings(zct)["stale-store"]
    assert found["level"] == "note" and "'left'" in found["found"] and "1 tensor," in found["found"]
    command = found["fix"].split("   ")[0].split()
    assert command[:3] == ["zct", "rm", "--stores"]
    zct(*command[1:])
    assert findings(zct)["stale-store"]["level"] == "ok"


def test_a_damaged_store_is_stale(zct):
    with open(os.path.join(zct.directory, f"zct1-{os.getuid()}-ugly"), "wb") as file:
        file.write(b"\0" * 4096)
    found = findings(zct)["stale-store"]
    assert found["level"] == "note" and "ugly" in found["found"] and found["fix"].startswith("rm ")


def test_leftovers_of_others(zct):
    for name in ("psm_dead", "psm_it's", "torch_1_2_3", "mine"):
        with open(os.path.join(zct.directory, name), "wb") as file:
            file.write(b"x" * 8192)
    with open(os.path.join(zct.directory, "psm_mapped"), "w+b") as file:
        file.write(b"x" * 4096)
        file.flush()
        with mmap.mmap(file.fileno(), 4096):
            done = zct("doctor", "--json", code=None)
    left = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "leftovers"]
    assert [finding["level"] for finding in left] == ["note", "note"]
    assert left[0]["found"].startswith("2 files psm_*") and "16.0 KiB" in left[0]["found"]
    assert left[1]["found"].startswith("1 file torch_*")
    for finding in left:
        subprocess.run(finding["fix"], shell=True, check=True)
    assert sorted(os.listdir(zct.directory)) == ["mine", "psm_mapped"]


def test_usage(zct):
    assert zct("doctor", "what", code=2).stderr.startswith("zct: doctor: takes no arguments")
    assert "Exit:" in zct("doctor", "--help").stdout
