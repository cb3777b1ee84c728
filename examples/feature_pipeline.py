"""A pipeline of programs: each waits for the name it needs, and publishes the name it makes.

python examples/feature_pipeline.py

clean -> normalise -> summarise, started in the wrong order on purpose. What is published is sealed: from then
on nobody, its maker included, can change it through a new attachment.
"""

import multiprocessing

import numpy as np
import zero_copy_tensor_ipc as zct

STORE = "example-features"
ROWS, COLUMNS = 50_000, 16


def clean():
    with zct.Store(STORE) as store:
        readings = np.random.default_rng(1).normal(5, 2, (ROWS, COLUMNS))
        readings[::100] = np.nan  # a broken sensor
        store.create("clean", readings[~np.isnan(readings).any(axis=1)], seal=True)


def normalise():
    with zct.Store(STORE) as store:
        rows = store.attach("clean", timeout=60)  # waits until somebody publishes it; read-only, as it is sealed
        features = zct.empty(rows.shape, np.float32, store=store)
        np.divide(rows - rows.mean(axis=0), rows.std(axis=0), out=np.asarray(features), casting="same_kind")
        store.create("features", features, seal=True)  # no copy: the array gets a name


def summarise():
    with zct.Store(STORE) as store:
        features = store.attach("features", timeout=60)
        print(f"features: {features.dtype} {features.shape}, mean {abs(features.mean()):.3f}, std {features.std():.3f}")
        try:
            store.attach("features", mode="r+")
        except OSError as error:
            print(f"writing is refused: {error}")


def main():
    context = multiprocessing.get_context("spawn")
    stages = [context.Process(target=stage, daemon=True) for stage in (summarise, normalise, clean)]
    with zct.Store(STORE) as store:  # keeps the store while the stages come and go
        for stage in stages:
            stage.start()
        for stage in stages:
            stage.join()
        for record in store.list():
            print(f"made: {record.name}, {record.dtype} {record.shape}")
            store.unlink(record.name)
    assert all(stage.exitcode == 0 for stage in stages)


if __name__ == "__main__":
    main()
