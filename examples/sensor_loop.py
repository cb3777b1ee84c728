"""A control loop: one process writes sensor readings a thousand times a second, another one acts on the newest.

    python examples/sensor_loop.py

The loop itself makes no system call, takes no lock and copies no more than it reads. One writer, one word that
says how many rows are there: a row is written first, counted afterwards, and a reader that was overtaken sees it in
the count. (That much is safe for one writer on x86-64; more writers need a lock.)
In the end the sensor is killed, as sensors are: the controller's arrays stay valid, and its tensors go with it.
"""

import multiprocessing
import os
import signal
import time

import numpy as np
import zero_copy_tensor_ipc as zct

STORE = "example-sensor"
ROWS, AXES, HERTZ, SECONDS = 256, 6, 1000, 1.0


def sense():
    with zct.Store(STORE) as store:
        ring = zct.zeros((ROWS, AXES + 1), name="ring", store=store, lifetime="owner")  # ends with this process
        count = zct.zeros((1,), np.int64, name="count", store=store, lifetime="owner")
        ring, count = np.asarray(ring), np.asarray(count)  # plain views, for a hot loop
        angles = np.linspace(0, np.pi, AXES)
        for number in range(60 * HERTZ):
            row = ring[number % ROWS]
            row[1:] = np.sin(angles + number / 100)
            row[0] = time.monotonic()
            count[0] = number + 1
            time.sleep(1 / HERTZ)


def newest(ring, count):
    """A copy of the newest row, whole."""
    while True:
        number = int(count[0])
        row = ring[(number - 1) % ROWS].copy()
        if number and count[0] - number < ROWS - 1:  # nobody came round and wrote over it meanwhile
            return number, row
        time.sleep(0)


def main():
    sensor = multiprocessing.get_context("spawn").Process(target=sense, daemon=True)
    with zct.Store(STORE) as store:
        sensor.start()
        count = np.asarray(store.attach("count", mode="r", timeout=60))  # waits until the sensor is there
        ring = np.asarray(store.attach("ring", mode="r"))
        ages, last, end = [], 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            number, row = newest(ring, count)
            if number != last:
                ages.append(time.monotonic() - row[0])
                last = number
            time.sleep(0.5 / HERTZ)
        os.kill(sensor.pid, signal.SIGKILL)
        sensor.join()
        print(f"{last} readings, {len(ages)} acted on, median age {np.median(ages) * 1e6:.0f} us")
        print(f"the sensor was killed; its last row still reads {ring[(last - 1) % ROWS, 1:3].round(2)}")
        store.gc()  # notices the death now; otherwise the next one who needs something does
        print(f"names left: {[record.name for record in store.list()]}")


if __name__ == "__main__":
    main()
