"""What the tests of the allocator share."""

import numpy as np

LARGE = 1 << 17  # bytes: above min_bytes


def in_store(store, array):
    """Can it be published without a copy? Then it lies in the store."""
    try:
        t = store.create("is it?", array, copy=False)
    except BufferError:
        return False
    assert np.shares_memory(t, array)
    t.unlink()
    return True
