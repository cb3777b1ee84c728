"""Training: loader processes prepare batches in shared memory, the trainer takes them without a copy.

    python examples/data_loader.py

A loader makes the batch in the store (`empty`), fills it, and gives it a name: nothing is copied at any size, and
nobody can see a batch before it is whole. Only a small string crosses the queue.
"""

import multiprocessing
import time

import numpy as np
import zero_copy_tensor_ipc as zct

STORE = "example-loader"
LOADERS, BATCHES, SHAPE = 2, 8, (32, 3, 128, 128)


def load(part, ready, room):
    random = np.random.default_rng(part)
    with zct.Store(STORE) as store:
        for number in range(part, BATCHES, LOADERS):
            room.acquire()  # at most a few batches ahead
            batch = zct.empty(SHAPE, np.float32, store=store)
            random.random(dtype=np.float32, out=np.asarray(batch))  # "decode and augment", straight into its place
            batch[0, 0, 0, 0] = number
            # The name, not the process, keeps it alive: this loader may end before the batch is used.
            store.create(f"batch/{number}", batch)
            ready.put(f"batch/{number}")


def main():
    context = multiprocessing.get_context("spawn")
    ready, room = context.Queue(), context.Semaphore(4)
    loaders = [context.Process(target=load, args=(part, ready, room), daemon=True) for part in range(LOADERS)]
    with zct.Store(STORE) as store:
        for loader in loaders:
            loader.start()
        waits, seen = [], set()
        for _ in range(BATCHES):
            name = ready.get(timeout=60)
            start = time.perf_counter()
            batch = store.attach(name, mode="r")
            waits.append(time.perf_counter() - start)
            store.unlink(name)  # the name ends; the memory goes back when `batch` does
            room.release()
            seen.add(int(batch[0, 0, 0, 0]))
            print(f"{name}: mean {batch.mean():.4f}")  # "train"
        for loader in loaders:
            loader.join()
        assert seen == set(range(BATCHES))
        print(f"{BATCHES} batches of {batch.nbytes / 1e6:.1f} MB; attaching took {np.median(waits) * 1e6:.1f} us (median)")


if __name__ == "__main__":
    main()
