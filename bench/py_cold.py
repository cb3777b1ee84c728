"""Python: a large tensor made from an array in memory that is not there yet, against the standard library's
create and copy. Also with one read pass over the result on both sides, since ours need not have mapped it yet.

After each round both give everything back, so that the next one is cold again.
"""

import json
import os
import time
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import zero_copy_tensor_ipc as zct

SEGMENT = os.environ["ZCT_BENCH_TOKEN"] + "-cold"


def read_pass(array):
    return int(np.bitwise_or.reduce(array))


def ours(data, store, want):
    start = time.perf_counter_ns()
    tensor = zct.create_shared_tensor("cold", data, store=store)
    made = time.perf_counter_ns()
    got = read_pass(tensor.array)
    read = time.perf_counter_ns()
    assert got == want
    tensor.unlink()
    del tensor
    store.trim()
    return made - start, read - start


def standard_library(data, want):
    start = time.perf_counter_ns()
    segment = SharedMemory(SEGMENT, create=True, size=data.nbytes)
    array = np.ndarray(data.shape, dtype=data.dtype, buffer=segment.buf)
    array[:] = data
    made = time.perf_counter_ns()
    got = read_pass(array)
    read = time.perf_counter_ns()
    assert got == want
    del array
    segment.close()
    segment.unlink()
    return made - start, read - start


def main():
    large = int(os.environ["ZCT_BENCH_LARGE"])
    data = np.arange(large // 8, dtype=np.int64)
    want = read_pass(data)
    times = []
    with zct.Store("cold") as store:
        for i in range(5):
            if i % 2 == 0:
                times.append((ours(data, store, want), standard_library(data, want)))
            else:
                base = standard_library(data, want)
                times.append((ours(data, store, want), base))
    for which, figure in enumerate(("create-large-cold", "create-large-cold-read")):
        record = {
            "id": figure,
            "ours": [mine[which] for mine, _ in times],
            "base": [base[which] for _, base in times],
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
