"""Two processes, one array: the second one finds it by name alone.

python examples/quickstart.py
"""

import subprocess
import sys

import numpy as np
import zero_copy_tensor_ipc as zct

NAME = "quickstart/weights"


def writer():
    data = np.arange(1_000_000, dtype=np.float32).reshape(1000, 1000)
    with zct.create_shared_tensor(NAME, data) as tensor:  # one copy; leaving `with` ends the name
        print(f"writer: created {tensor.name}, {tensor.dtype} {tensor.shape}")
        # Any program may attach. This one starts a fresh interpreter that knows nothing but the name.
        subprocess.run([sys.executable, __file__, "reader"], check=True)
        print(f"writer: the reader wrote {tensor[0, 0]:g} into my memory")
        assert tensor[0, 0] == -1


def reader():
    tensor = zct.attach_shared_tensor(NAME)  # no copy; dtype and shape come with the name
    print(f"reader: attached {tensor.dtype} {tensor.shape}, the sum is {tensor.sum(dtype=np.float64):g}")
    tensor[0, 0] = -1  # the same bytes as the writer's

    fixed = zct.attach_shared_tensor(NAME, mode="r")  # read-only, by the hardware
    try:
        fixed[0, 0] = 5
    except ValueError as error:
        print(f"reader: mode 'r' says: {error}")


if __name__ == "__main__":
    reader() if sys.argv[1:] == ["reader"] else writer()
