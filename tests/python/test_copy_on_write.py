"""mode="c": what is written stays private, page by page; what is not written follows the writer."""

import gc
import os

import numpy as np
import pytest

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def pair(store):
    """A tensor of four pages, and a private attachment to it."""
    data = store.create("x", np.zeros(4 * PAGE, np.uint8))
    return data, store.attach("x", mode="c")


def first_bytes(array):
    return [int(x) for x in array[::PAGE]]


def test_what_is_written_is_private(store, pair, peer):
    data, c = pair
    assert c.mode == "c" and c.flags.writeable and c.is_shared and not np.shares_memory(c, data)
    c[0] = 1
    assert data[0] == 0 and store.attach("x")[0] == 0 and store.attach("x", mode="c")[0] == 0
    p = peer()
    p.do("c = zct.attach_shared_tensor('x', mode='c'); c[:] = 3")
    assert first_bytes(data) == [0, 0, 0, 0] and first_bytes(c) == [1, 0, 0, 0]


def test_page_by_page(pair, peer):
    data, c = pair
    c[PAGE] = 1  # page 1 is private now
    data[:] = 7
    assert first_bytes(c) == [7, 1, 7, 7]
    assert c[PAGE + 1] == 0 and c[2 * PAGE - 1] == 0  # all of it, as it was
    assert c[PAGE - 1] == 7 and c[2 * PAGE] == 7  # and nothing beside it
    p = peer()
    p.do("w = zct.attach_shared_tensor('x'); w[:] = 9")
    assert first_bytes(c) == [9, 1, 9, 9]
    c[:] = 5
    p.do("w[:] = 6")
    assert first_bytes(c) == [5] * 4 and first_bytes(data) == [6] * 4


def test_two_private_ones_are_apart(store, pair):
    data, c = pair
    d = store.attach("x", mode="c")
    c[0], d[0] = 1, 2
    c[PAGE] = 3
    assert first_bytes(c) == [1, 3, 0, 0] and first_bytes(d) == [2, 0, 0, 0] and first_bytes(data) == [0] * 4


def test_small_tensors_beside_each_other(store):
    a, b = store.create("a", np.zeros(8)), store.create("b", np.zeros(8))
    c = store.attach("a", mode="c")
    c[:] = 1
    assert not a.any() and not b.any()
    b[:] = 2
    assert (c == 1).all() and not a.any()


def test_views_of_it_keep_it(store, pair):
    data, c = pair
    c[0] = 1
    view, plain, memory = c[: 2 * PAGE : PAGE], np.asarray(c), memoryview(c)
    del c
    gc.collect()
    data[PAGE] = 4
    assert view.tolist() == [1, 4] and plain[0] == 1 and memory[0] == 1
    view[1] = 8
    assert plain[PAGE] == 8 and data[PAGE] == 4


@pytest.mark.parametrize("change", ["unlink", "replace", "leftover", "trim", "gc", "refill"])
def test_others_change_nothing(store, peer, change):
    changes = {
        "unlink": "zct.unlink_shared_tensor('x')",
        "replace": "zct.create_shared_tensor('x', np.full(40000, 9, 'u1'), exists='replace')",
        "leftover": "zct.unlink_shared_tensor('x'); zct.create_shared_tensor('x', np.zeros(3))",
        "trim": "zct.unlink_shared_tensor('x'); zct.Store().trim()",
        "gc": "zct.unlink_shared_tensor('x'); zct.Store().gc(unheld=True)",
        "refill": "zct.unlink_shared_tensor('x'); a = [zct.full(4 * 4096, 9, 'u1', name='y%d' % i) for i in range(50)]",
    }
    store.create("x", np.full(4 * PAGE, 2, np.uint8))
    c = store.attach("x", mode="c")
    c[0] = 1
    p = peer()
    p.do(changes[change])
    p.do("zct.Store().trim()")
    assert first_bytes(c) == [1, 2, 2, 2] and (c[1:] == 2).all()
    c[PAGE] = 3
    assert first_bytes(c) == [1, 3, 2, 2]
    p.end()
    store.gc()
    assert first_bytes(c) == [1, 3, 2, 2] and c.holders == 1


def test_memory_comes_back(store):
    def used():
        store.gc()
        return store.stats().used

    before = used()
    store.create("x", np.zeros(64 * PAGE, np.uint8))
    c = store.attach("x", mode="c")
    c[:] = 1
    store.unlink("x")
    assert used() > before
    del c
    assert used() == before


def test_survives_fork(pair, in_child):
    data, c = pair
    c[0] = 1

    def child():
        assert first_bytes(c) == [1, 0, 0, 0] and c.mode == "c"
        c[PAGE] = 5
        data[2 * PAGE] = 6
        assert first_bytes(c) == [1, 5, 6, 0]
        data.store.unlink("x")
        assert first_bytes(c) == [1, 5, 6, 0]

    in_child(child)
    assert first_bytes(c) == [1, 0, 6, 0] and first_bytes(data) == [0, 0, 6, 0]


def test_survives_a_fork_that_outlives_its_parent_s_array(store, pair):
    data, c = pair
    c[0] = 1
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(read, 1)
            good = first_bytes(c) == [1, 0, 0, 0]
            c[:] = 2
            os._exit(0 if good and first_bytes(c) == [2] * 4 else 1)
        finally:
            os._exit(1)
    del c, data
    store.unlink("x")
    for _ in range(20):
        store.create("y", np.full(4 * PAGE, 9, np.uint8), exists="replace")
    os.write(write, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(read)
    os.close(write)


def test_of_a_sealed_tensor(store):
    t = store.create("x", np.arange(5), seal=True)
    c = store.attach("x", mode="c")
    c[0] = 9
    assert t[0] == 0 and c.sealed and c.flags.writeable


def test_of_no_elements(store):
    store.create("x", np.zeros((0, 3)))
    assert store.attach("x", mode="c").shape == (0, 3)
