"""The command and the Python package read each other's tensors: every dtype, structs too."""

import subprocess
import sys

import files
import numpy as np
import pytest

pytest.importorskip("zero_copy_tensor_ipc", reason="the Python package is not installed")

ARRAYS = files.every_dtype()


def python(zct, code, *arguments):
    program = "import sys\nimport numpy as np\nimport zero_copy_tensor_ipc as zct\n" + code
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=zct.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def archive(zct, tmp_path):
    zct.needs_zlib()
    np.savez(tmp_path / "in.npz", **ARRAYS)
    return str(tmp_path / "in.npz")


SHARE = """
for name, array in np.load(sys.argv[1]).items():
    zct.create_shared_tensor(name, array)
"""
COMPARE = """
for name, array in np.load(sys.argv[1]).items():
    tensor = zct.attach_shared_tensor(name)
    assert tensor.dtype == array.dtype and tensor.shape == array.shape, (name, tensor.dtype, array.dtype)
    assert str(tensor.tolist()) == str(array.tolist()), name
"""
JOIN = """
for name, array in np.load(sys.argv[1]).items():
    zct.create_shared_tensor(name, array, exists="attach")
"""


def test_python_has_what_the_command_loaded(zct, archive):
    zct("load", archive)
    python(zct, COMPARE, archive)
    python(zct, JOIN, archive)


def test_the_command_saves_what_python_made(zct, archive, tmp_path):
    python(zct, SHARE, archive)
    zct("save", str(tmp_path / "out.npz"))
    back = np.load(tmp_path / "out.npz")
    assert sorted(back.files) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert files.same(back[name], array), name
    done = zct.json("load", "--exists", "attach", archive)
    assert {tensor["outcome"] for tensor in done["tensors"]} == {"attached"}


def test_the_same_dtypes_have_the_same_names(zct, archive):
    zct("load", archive, "--prefix", "loaded/")
    python(zct, SHARE, archive)
    dtypes = {tensor["name"]: tensor["dtype"] for tensor in zct.json("ls")["tensors"]}
    for name in ARRAYS:
        assert dtypes[name] == dtypes["loaded/" + name]


STRIDED = """
with zct.numpy_allocator():
    array = np.arange(60000.0).reshape(30, 40, 50) + 0
zct.create_shared_tensor("x", array.transpose(1, 0, 2), copy=False)
"""


def test_a_tensor_in_another_order_of_its_axes(zct, tmp_path):
    array = np.arange(60000.0).reshape(30, 40, 50).transpose(1, 0, 2)
    python(zct, STRIDED)
    described = zct.json("head", "--all", "x")["tensors"][0]
    assert described["order"] == "strided" and described["strides"] == list(array.strides)
    assert described["values"] == array.tolist()
    zct("save", str(tmp_path / "out.npy"), "x")
    assert np.array_equal(np.load(tmp_path / "out.npy"), array)
    zct("save", str(tmp_path / "out.safetensors"), "x")
    tensors = files.parse_safetensors((tmp_path / "out.safetensors").read_bytes())
    assert tensors["x"] == ("F64", [40, 30, 50], array.tobytes())
