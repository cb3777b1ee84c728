"""References in flight: what becomes of a tensor whose pickled bytes are taken, taken twice, never taken, or whose sender or
receiver is killed; and how many there may be."""

import multiprocessing
import os
import pickle
import signal
import threading
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct

CONTEXT = multiprocessing.get_context("spawn")


def by_reference(tensor):
    """Its bytes as multiprocessing sends them."""
    return bytes(ForkingPickler.dumps(tensor))


SEND = """
    from multiprocessing.reduction import ForkingPickler
    def send(tensor):
        return bytes(ForkingPickler.dumps(tensor)).hex()
    t = zct.full(1000, 7.0)
"""


@pytest.fixture
def sender(peer):
    """Another process with an unnamed tensor `t`; send(t) are its bytes, as hex."""
    p = peer()
    p.do(SEND)
    return p


def nothing_is_left(store):
    store.gc()
    stats = store.stats()
    return (stats.names, stats.handles) == (0, 0) and store.check() == []


GONE = "if the producer may end first, give the tensor a name"


# ---- each outcome --------------------------------------------------------------------------------------------


def test_taken(store, sender):
    sent = bytes.fromhex(sender.do("send(t)"))
    sender.do("del t")
    assert store.stats().handles == 1 and store.stats().names == 1  # the bytes alone keep it
    t = pickle.loads(sent)
    assert t.is_shared and t.sum() == 7000 and store.stats().handles == 0
    del t
    assert nothing_is_left(store)


def test_taken_twice(store, sender, peer):
    sent = sender.do("send(t)")
    sender.do("del t")
    first = pickle.loads(bytes.fromhex(sent))
    other = peer()
    other.do("import pickle; t = pickle.loads(bytes.fromhex(%r)); t[0] = 8" % sent)
    assert first[0] == 8
    second = pickle.loads(bytes.fromhex(sent))
    assert np.shares_memory(first, second)
    del first, second
    third = pickle.loads(bytes.fromhex(sent))  # the other process still holds it
    assert third[0] == 8
    del third
    other.do("del t")
    with pytest.raises(zct.TensorNotFoundError, match=GONE):
        pickle.loads(bytes.fromhex(sent))
    assert nothing_is_left(store)


def test_never_taken(store):
    t = zct.ones(5, store=store)
    sent = [by_reference(t), by_reference(t[1:3])]
    del t
    assert store.gc().handles == 0 and store.gc(handles=3600).handles == 0 and store.stats().handles == 2
    assert store.stats().names == 1  # nobody but the sender can know
    assert store.gc(handles=0).handles == 2
    for one in sent:
        with pytest.raises(zct.TensorNotFoundError, match=GONE):
            pickle.loads(one)
    assert nothing_is_left(store)


def test_never_taken_and_the_sender_leaves(store, sender):
    sent = bytes.fromhex(sender.do("send(t)"))
    assert sender.leave() == 0
    with pytest.raises(zct.TensorNotFoundError, match=GONE):
        pickle.loads(sent)
    assert nothing_is_left(store)


def test_sender_killed_before_the_bytes_left(store, sender):
    sender.do("sent = send(t); del t")
    assert store.stats().handles == 1
    sender.kill()
    assert nothing_is_left(store)


def test_sender_killed_after_the_bytes_left(store, sender):
    sent = bytes.fromhex(sender.do("send(t)"))
    sender.kill()
    store.gc()
    with pytest.raises(zct.TensorNotFoundError, match=GONE):
        pickle.loads(sent)
    assert nothing_is_left(store)


def test_sender_killed_after_it_was_taken(store, sender):
    t = pickle.loads(bytes.fromhex(sender.do("send(t)")))
    sender.kill()
    store.gc()
    assert t.sum() == 7000
    del t
    assert nothing_is_left(store)


def test_with_a_name_the_sender_may_end_first(store, sender):
    sender.do("t = zct.create_shared_tensor('n', t)")
    sent = bytes.fromhex(sender.do("send(t[2:])"))
    sender.kill()
    store.gc()
    t = pickle.loads(sent)
    assert t.name == "n" and t.shape == (998,) and t.sum() == 998 * 7
    store.unlink("n")


def test_receiver_killed_before_it_took(store, peer):
    t = zct.ones(5, store=store)
    receiver = peer()
    receiver.do("sent = %r" % by_reference(t))
    del t
    receiver.kill()
    store.gc()
    assert store.stats().names == store.stats().handles == 1  # as never taken
    assert store.gc(handles=0).handles == 1
    assert nothing_is_left(store)


def test_receiver_killed_after_it_took(store, peer):
    t = zct.ones(5, store=store)
    receiver = peer()
    receiver.do("import pickle; t = pickle.loads(%r)" % by_reference(t))
    del t
    assert store.stats().names == 1 and store.stats().handles == 0
    receiver.kill()
    assert nothing_is_left(store)


def _get_and_die(queue, when):
    if when == "before":
        queue._reader.recv_bytes()
    else:
        queue.get().fill(2)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("when", ["before", "after"])
def test_receiver_of_a_queue_killed_in_the_middle(store, when):
    t = store.create("x", np.ones(5))
    queue = CONTEXT.Queue()
    process = CONTEXT.Process(target=_get_and_die, args=(queue, when))
    process.start()
    queue.put(t)
    process.join(100)
    assert process.exitcode == -signal.SIGKILL
    store.gc()
    assert store.list()[0].handles == (when == "before") and t[0] == (1 if when == "before" else 2)
    if when == "after":  # the next one goes as ever; before: it died with the queue's own lock
        queue.put(t)
        assert np.shares_memory(queue.get(timeout=100), t)
    assert store.gc(handles=0).handles == (when == "before")
    assert store.list()[0].handles == 0
    queue.close()
    queue.join_thread()
    t.unlink()


def test_queue_dropped(store):
    t = zct.ones(5, store=store)
    queue = CONTEXT.Queue()
    queue.put(t)
    del t
    queue.close()
    queue.join_thread()  # the bytes are in the pipe now
    del queue
    assert store.stats().names == 1 and store.stats().handles == 1
    assert store.gc(handles=0).handles == 1
    assert nothing_is_left(store)


def test_object_dropped(store):
    """A handle that was never pickled takes itself back; also one that failed to be sent with others."""
    t = zct.ones(5, store=store)
    h = t.handle
    assert store.stats().handles == 1
    del h
    assert store.stats().handles == 0
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps([t.handle, lambda: None])
    store.gc(handles=0)
    del t
    assert nothing_is_left(store)


# ---- who may drop what ------------------------------------------------------------------------------------------


def test_gc_drops_those_of_its_own_process(store, sender):
    sender.do("kept = send(t)")
    assert store.gc(handles=0).handles == 0 and store.stats().handles == 1
    assert sender.do("zct.Store().gc(handles=0).handles") == 1
    assert store.stats().handles == 0


def test_forked_child_drops_nothing_of_its_parents(store, in_child):
    t = zct.ones(5, store=store)
    h = t.handle
    sent = by_reference(t)

    def child():
        nonlocal h
        h = None  # the child's reference to the object
        assert store.gc(handles=0).handles == 0
        assert pickle.loads(sent).sum() == 5  # a taker like any other

    in_child(child)
    assert store.stats().handles == 1 and h.attach().sum() == 5
    h = t = None
    assert nothing_is_left(store)


# ---- how many ------------------------------------------------------------------------------------------------------


def test_too_many_names_the_oldest_and_sends_nothing(store):
    t = store.create("x", np.zeros(3))
    sent = []
    with pytest.raises(zct.TooManyHandlesError, match=r"the oldest for \d+ s.*gc\(handles=seconds\)") as error:
        while len(sent) < 10000:
            sent.append(by_reference(t))
    assert error.value.errno == 24 and error.value.store == "t"
    assert store.stats().handles == len(sent) == 512  # 4,096 in stores of a gigabyte
    pickle.loads(sent[100])  # one is taken: there is room for one
    sent.append(by_reference(t))
    with pytest.raises(zct.TooManyHandlesError):
        t.handle
    assert store.gc(handles=0).handles == 512


def test_too_many_in_a_queue(python):
    """multiprocessing.Queue pickles in a thread of its own, which prints the error and drops the item; t.handle raises where
    the caller can see it."""
    code = """
        import multiprocessing, pickle
        from multiprocessing.reduction import ForkingPickler
        import numpy as np, zero_copy_tensor_ipc as zct
        t = zct.create_shared_tensor("x", np.ones(3))
        kept = [ForkingPickler.dumps(t) for _ in range(512)]
        queue = multiprocessing.Queue()
        queue.put(t)
        queue.put("next")
        assert queue.get(timeout=100) == "next"
        try:
            queue.put(t.handle)
        except zct.TooManyHandlesError:
            print("seen")
        t.unlink()
    """
    out = python(code, quiet=False, env={"ZCT_CAPACITY": str(16 << 20)})
    assert out == "seen\n"


def test_threads_at_once(store):
    t = store.create("x", np.arange(100))
    failures = []

    def work(number):
        try:
            for i in range(300):
                part = pickle.loads(by_reference(t[number + i % 7 :]))
                assert part[0] == number + i % 7 and np.shares_memory(part, t)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and store.stats().handles == 0


# ---- who shows them ---------------------------------------------------------------------------------------------------


def test_shown_in_list_and_stats(store, sender):
    t = store.create("x", np.ones(5))
    sent = [by_reference(t), by_reference(t)]
    sender.do("more = send(t), send(t)")
    assert [(i.name, i.holders, i.handles) for i in store.list()] == [("x", 1, 2)]
    assert store.stats().handles == 4
    del t
    assert [(i.name, i.holders, i.handles) for i in store.list()] == [("x", 0, 2)]
    with pytest.raises(zct.TensorExistsError, match="x"):
        store.create("x", np.ones(5))  # whoever takes it holds it
    pickle.loads(sent[0]), pickle.loads(sent[1])
    assert store.list()[0].handles == 0 and store.create("x", np.ones(5)).generation == 2
    store.unlink("x")


# ---- bytes that are not what they say ---------------------------------------------------------------------------------


def state_of(handle):
    rebuild, state = handle.__reduce__()
    return rebuild, list(state)


def test_of_another_store(store, directory):
    with zct.Store("other", directory=directory, capacity=1 << 20) as other:
        rebuild, state = state_of(store.create("x", np.ones(3)).handle)
        state[1] = other.path
        with pytest.raises(zct.TensorNotFoundError, match="another store"):
            rebuild(*state).attach()
    state[1] = os.path.join(directory, "nothing-here")  # of another host, say
    with pytest.raises(zct.TensorNotFoundError, match="not on this machine"):
        rebuild(*state).attach()
    assert not os.path.exists(state[1])
    state[1] = __file__  # no store at all
    with pytest.raises((zct.Error, OSError, ValueError)):
        rebuild(*state).attach()
    store.unlink("x")


def test_of_a_tensor_whose_place_another_has(store):
    """The bytes name a tensor by its birth, not by its place."""
    t = zct.ones(3, store=store)
    sent = by_reference(t)
    del t
    assert store.gc(handles=0).handles == 1
    others = [zct.zeros(3, store=store) for _ in range(store.stats().max_names // 2)]
    with pytest.raises(zct.TensorNotFoundError, match=GONE):
        pickle.loads(sent)
    assert not any(t.any() for t in others)


@pytest.mark.parametrize("length", [0, 1, 47, 49, 4096])
def test_of_a_wrong_length(store, length):
    rebuild, state = state_of(zct.ones(3, store=store).handle)
    state[0] = (state[0] * 100)[:length]
    with pytest.raises(ValueError, match="damaged"):
        rebuild(*state)
