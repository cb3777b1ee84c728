"""Python: a name for an array made by ``zct.empty``, 1 KiB and a large one: neither is copied."""

import json
import os
import time

import zero_copy_tensor_ipc as zct


def publish_once(nbytes):
    array = zct.empty((nbytes,), "u1")
    array[0] = 1
    start = time.perf_counter_ns()
    tensor = zct.create_shared_tensor("published", array)
    took = time.perf_counter_ns() - start
    assert tensor.ctypes.data == array.ctypes.data, "it was copied"
    tensor.unlink()
    return took


def main():
    large = int(os.environ["ZCT_BENCH_LARGE"])
    rounds = 51 if os.environ.get("ZCT_BENCH_QUICK") else 301
    for _ in range(5):
        publish_once(large)
        publish_once(1024)
    ours, base = [], []
    for i in range(rounds):
        if i % 2 == 0:
            ours.append(publish_once(large))
        base.append(publish_once(1024))
        if i % 2 == 1:
            ours.append(publish_once(large))
    print(json.dumps({"id": "python-publish", "ours": ours, "base": base}), flush=True)


if __name__ == "__main__":
    main()
