"""Python: attach by name -> usable array -> dropped, against the standard library and against ``np.empty(16)``.

Another process holds the tensor (and the standard library's segment is mapped there), this one does not. The
standard library's resource tracker is off, as 3.13's ``track=False`` has it: only its open, mmap and close count.
"""

import json
import multiprocessing.resource_tracker as tracker
import os
import subprocess
import sys
import timeit
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import zero_copy_tensor_ipc as zct

SHAPE = (16,)
SEGMENT = os.environ["ZCT_BENCH_TOKEN"] + "-python"


def tracker_off():
    tracker.register = tracker.unregister = lambda *ignored: None


def hold():
    """The other process."""
    tracker_off()
    tensor = zct.create_shared_tensor("weights", np.arange(16.0))
    segment = SharedMemory(SEGMENT, create=True, size=tensor.nbytes)
    array = np.ndarray(SHAPE, buffer=segment.buf)
    array[:] = tensor
    print("ready", flush=True)
    sys.stdin.read()
    zct.unlink_shared_tensor("weights")
    del array
    segment.close()
    segment.unlink()


def standard_library():
    segment = SharedMemory(SEGMENT)
    array = np.ndarray(SHAPE, buffer=segment.buf)
    del array
    segment.close()


def standard_library_read():
    segment = SharedMemory(SEGMENT)
    array = np.ndarray(SHAPE, buffer=segment.buf)
    value = array[0]
    del array
    segment.close()
    return value


def measure(figure, statement, baseline, number, baseline_number, rounds):
    names = {"attach": zct.attach_shared_tensor, "empty": np.empty, "globals": globals()}
    names.update(standard_library=standard_library, standard_library_read=standard_library_read)
    ours_timer, base_timer = timeit.Timer(statement, globals=names), timeit.Timer(baseline, globals=names)
    ours, base = [], []
    ours_timer.timeit(number)
    base_timer.timeit(baseline_number)
    for i in range(rounds):
        if i % 2 == 0:
            ours.append(ours_timer.timeit(number) / number * 1e9)
        base.append(base_timer.timeit(baseline_number) / baseline_number * 1e9)
        if i % 2 == 1:
            ours.append(ours_timer.timeit(number) / number * 1e9)
    print(json.dumps({"id": figure, "ours": ours, "base": base}), flush=True)


def main():
    tracker_off()
    rounds = 21 if os.environ.get("ZCT_BENCH_QUICK") else 101
    other = subprocess.Popen([sys.executable, __file__, "hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "ready\n"
    value = zct.attach_shared_tensor("weights")
    assert value.shape == SHAPE and value[3] == 3.0
    del value
    measure("python-attach-stdlib", "attach('weights')", "standard_library()", 5000, 100, rounds)
    measure("python-attach-read", "attach('weights')[0]", "standard_library_read()", 5000, 100, rounds)
    measure("python-attach-empty", "attach('weights')", "empty(16)", 10000, 10000, rounds)
    other.stdin.close()
    assert other.wait() == 0


if __name__ == "__main__":
    if sys.argv[1:] == ["hold"]:
        hold()
    else:
        main()
