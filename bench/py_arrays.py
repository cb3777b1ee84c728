"""Python: what a SharedTensor and its ``.array`` cost in NumPy, against a plain ndarray; the allocator; the import.

``array`` is ``t.array``, taken once, as in a hot loop. Each pair runs in one process, in turns; the plain array is as
large and has its own memory. Nothing here waits, so it is the processor's time that is measured: a figure of 2 percent is
not to depend on who else runs.
"""

import json
import os
import subprocess
import sys
import time
import timeit

import numpy as np
import zero_copy_tensor_ipc as zct

QUICK = bool(os.environ.get("ZCT_BENCH_QUICK"))
IMPORT = """
import time
start = time.perf_counter_ns()
import numpy
middle = time.perf_counter_ns()
import zero_copy_tensor_ipc
print(time.perf_counter_ns() - middle, middle - start)
"""


def report(figure, pairs):
    print(json.dumps({"id": figure, "ours": [a for a, _ in pairs], "base": [b for _, b in pairs]}), flush=True)


def in_turns(ours, base, rounds):
    """(ours, base) of each round; each is called first in every second one. One more round before, to warm up."""
    pairs = []
    for i in range(-1, rounds):
        if i % 2 == 0:
            mine = ours()
            pairs.append((mine, base()))
        else:
            other = base()
            pairs.append((ours(), other))
    return pairs[1:]


def compare(figure, ours, base, names, number):
    timers = [timeit.Timer(statement, timer=time.process_time, globals=names) for statement in (ours, base)]
    rounds = 51 if QUICK else 1001
    report(figure, in_turns(*((lambda t=t: t.timeit(number) / number * 1e9) for t in timers), rounds))


def arrays():
    for size, count, number in (("small", 16, 2000), ("large", 131072, 20)):
        t, plain = zct.ones(count), np.ones(count)
        names = {"t": t, "array": t.array, "plain": plain}
        assert np.array_equal(t + 1, plain + 1)
        compare("python-array-view-" + size, "array[...]", "plain[...]", names, 2000)
        compare("python-array-add-" + size, "array + 1", "plain + 1", names, number)
        compare("python-tensor-view-" + size, "t[...]", "plain[...]", names, 2000)
        compare("python-tensor-add-" + size, "t + 1", "plain + 1", names, number)


def make_and_drop(number, nbytes=1 << 20, empty=np.empty):
    start = time.process_time_ns()
    for _ in range(number):
        empty(nbytes, "u1")
    return (time.process_time_ns() - start) / number


def allocator():
    def inside():
        with zct.numpy_allocator():
            return make_and_drop(500)

    with zct.numpy_allocator():
        data = np.empty(1 << 20, "u1")
        with zct.create_shared_tensor("made by NumPy", data, copy=False) as t:
            assert np.shares_memory(data, t)
    report("python-allocator", in_turns(inside, lambda: make_and_drop(500), 51 if QUICK else 201))


def imports():
    pairs = []
    for _ in range(5 if QUICK else 21):
        done = subprocess.run([sys.executable, "-c", IMPORT], stdout=subprocess.PIPE, text=True, check=True)
        pairs.append(tuple(int(ns) for ns in done.stdout.split()))
    report("python-import", pairs)


if __name__ == "__main__":
    arrays()
    allocator()
    imports()
