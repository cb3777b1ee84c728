"""The user's two programs, word for word: as they stand, and the first one split in two where it says so."""

import os
import pathlib
import shutil

import pytest

USER = pathlib.Path(__file__).resolve().parents[3] / "shared" / "user"
needs_programs = pytest.mark.skipif(not USER.is_dir(), reason="the user's programs are not here")
ASSERTION = "assert np.shares_memory(data, weights)"


def room(directory):
    return shutil.disk_usage(directory).free


@pytest.fixture
def listing1(directory):
    if room(directory) < 3 << 30:
        pytest.skip("the user's first program needs 3 GiB of shared memory")
    return (USER / "listing1.py").read_text()


@needs_programs
def test_listing1_with_the_allocator(listing1, python):
    python(str(USER / "listing1.py"), env={"ZCT_NUMPY_ALLOCATOR": "1", "ZCT_CAPACITY": str(4 << 30)})


@needs_programs
def test_listing1_inside_the_context(listing1, python):
    body = "\n".join("    " + line for line in listing1.splitlines())
    code = "import zero_copy_tensor_ipc as zct\nwith zct.numpy_allocator():\n" + body
    python(code, env={"ZCT_CAPACITY": str(4 << 30)})


@needs_programs
def test_listing1_without_it_fails_in_the_assertion_alone(listing1, python):
    other = "assert not np.shares_memory(data, weights) and np.shares_memory(tensor, weights)"
    python(listing1.replace(ASSERTION, other), env={"ZCT_CAPACITY": str(2 << 30)})


@needs_programs
def test_listing1_in_two_processes(listing1, python):
    a, b = listing1.split("# Process B")
    b = b[b.index("\n") :].split("# Both processes")[0]
    imports = a[: a.index("# Process A")]
    code = """
import subprocess, sys
%s
%s
child = %r
subprocess.run([sys.executable, "-c", child], check=True, timeout=100)
assert tensor[7, 9] == 42
""" % (imports, a[a.index("# Process A") :], imports + b + "\nassert weights.shape == (10000, 10000)\nweights[7, 9] = 42\n")
    python(code, env={"ZCT_CAPACITY": str(2 << 30)})


METHOD = """
import multiprocessing, runpy, sys
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    sys.argv = sys.argv[:1]
"""


@needs_programs
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_listing2_several_times_without_clean_up(python, directory, method, tmp_path):
    program = (USER / "listing2.py").read_text()
    script = tmp_path / "listing2.py"
    script.write_text(METHOD + program)
    for _ in range(3):
        python(str(script), method)
    leave_nothing_but_the_name(directory)


@needs_programs
def test_listing2_as_it_stands(python, directory):
    for _ in range(3):
        python(str(USER / "listing2.py"))
    leave_nothing_but_the_name(directory)


def leave_nothing_but_the_name(directory):
    import zero_copy_tensor_ipc as zct

    assert len(os.listdir(directory)) == 1
    with zct.Store("default", directory=directory) as s:
        s.gc()
        (left,) = s.list()
        assert left.name == "weights" and left.holders == 0 and left.generation >= 3
        assert s.check() == [] and s.stats().members == 1
        s.unlink("weights")
    assert os.listdir(directory) == []


