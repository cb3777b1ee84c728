"""Python: a tensor through a queue of multiprocessing, by reference, against 100 bytes: put, get, usable array, drop.

Both ends are in this process, so nothing but the queue's own thread waits for anybody: pickling, the pipe and unpickling
are all in the figure.
"""

import json
import multiprocessing
import os
import time

import numpy as np
import zero_copy_tensor_ipc as zct


def rounds_of(queue, number, thing):
    start = time.perf_counter_ns()
    for _ in range(number):
        queue.put(thing)
        queue.get()
    return (time.perf_counter_ns() - start) / number


def measure(figure, queue, thing, rounds):
    other = b"x" * 100
    ours, base = [], []
    rounds_of(queue, 200, thing)
    rounds_of(queue, 200, other)
    for i in range(rounds):
        if i % 2 == 0:
            ours.append(rounds_of(queue, 100, thing))
        base.append(rounds_of(queue, 100, other))
        if i % 2 == 1:
            ours.append(rounds_of(queue, 100, thing))
    print(json.dumps({"id": figure, "ours": ours, "base": base}), flush=True)


def main():
    rounds = 21 if os.environ.get("ZCT_BENCH_QUICK") else 101
    tensor = zct.create_shared_tensor("queued", np.ones(1000))
    queue = multiprocessing.Queue()
    queue.put(tensor)
    assert np.shares_memory(queue.get(), tensor)
    measure("python-queue", queue, tensor, rounds)
    measure("python-queue-part", queue, tensor[10:500:2], rounds)
    queue.close()
    queue.join_thread()
    tensor.unlink()


if __name__ == "__main__":
    main()
