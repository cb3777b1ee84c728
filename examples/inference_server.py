"""Serving: worker processes answer requests from one copy of the weights, which is swapped while they work.

    python examples/inference_server.py

The workers attach for every request: that takes well under a microsecond, so each answer comes from the newest
weights, and no worker has to be told about a swap. A request that is under way keeps the generation it began with.
"""

import multiprocessing

import numpy as np
import zero_copy_tensor_ipc as zct

STORE = "example-inference"
WORKERS, CLASSES, INPUTS = 3, 10, 512


def serve(requests, answers):
    with zct.Store(STORE) as store:
        while True:
            x = requests.get()
            if x is None:
                break
            weights = store.attach("classifier", mode="r")
            answers.put((weights.generation, int(np.argmax(weights @ x))))


def weights_for(label):
    """A classifier that answers `label` whatever the question."""
    weights = np.zeros((CLASSES, INPUTS), np.float32)
    weights[label] = 1
    return weights


def main():
    context = multiprocessing.get_context("spawn")
    requests, answers = context.Queue(), context.Queue()
    with zct.Store(STORE) as store, store.create("classifier", weights_for(3)) as first:
        workers = [context.Process(target=serve, args=(requests, answers), daemon=True) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        x = np.ones(INPUTS, np.float32)

        def ask(count):
            for _ in range(count):
                requests.put(x)
            return {answers.get(timeout=60) for _ in range(count)}

        print("before the swap (generation, answer):", ask(60))
        # Atomic: every attach finds the old weights or the new ones, whole. Arrays of the old ones stay valid.
        with store.create("classifier", weights_for(7), exists="replace") as second:
            after = ask(60)
            print("after the swap  (generation, answer):", after)
            assert after == {(second.generation, 7)}
            assert first[3].all() and not first[7].any()  # what was held is as it was
            for _ in workers:
                requests.put(None)
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    main()
