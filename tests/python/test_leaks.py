"""Each operation thousands of times: no growth of memory, descriptors, mappings or the store."""

import os

import pytest

OPERATIONS = {
    "attach": "zct.attach_shared_tensor('x')",
    "attach checked": "zct.attach_shared_tensor('x', (3, 4), np.float64, mode='r')",
    "attach mode c": "zct.attach_shared_tensor('x', mode='c')[0, 0] = 1",
    "attach missing": "fails(zct.TensorNotFoundError, zct.attach_shared_tensor, 'none')",
    "attach wrong shape": "fails(ValueError, zct.attach_shared_tensor, 'x', (1,))",
    "attach wrong dtype": "fails(ValueError, zct.attach_shared_tensor, 'x', None, '>c16')",
    "create and unlink": "zct.create_shared_tensor('y', data); zct.unlink_shared_tensor('y')",
    "create replace": "zct.create_shared_tensor('y', data, exists='replace')",
    "create attach": "zct.create_shared_tensor('x', x.array, exists='attach')",
    "create taken": "fails(zct.TensorExistsError, zct.create_shared_tensor, 'x', data)",
    "create converted": "zct.create_shared_tensor('y', data, dtype='>f4', exists='replace')",
    "create from a list": "zct.create_shared_tensor('y', [1, 2, 3], exists='replace')",
    "create object": "fails(TypeError, zct.create_shared_tensor, 'y', [None])",
    "with": "\n    with zct.create_shared_tensor('z', data): pass",
    "empty": "zct.empty((10, 10))",
    "zeros, ones, full": "zct.zeros(5); zct.ones(5, 'M8[25s]' if 0 else 'u1'); zct.full((2, 2), [1, 2])",
    "publish": "zct.create_shared_tensor('p', zct.empty(100), exists='replace')",
    "allocator": "\n    with zct.numpy_allocator(): a = np.ones(20000)\n    zct.create_shared_tensor('a', a, exists='replace')",
    "allocator resize": "\n    with zct.numpy_allocator(): a = np.ones(20000)\n    a.resize(60000, refcheck=False)",
    "allocator refused": "\n    with zct.numpy_allocator() as c: a = np.empty(1 << 27, 'u1'); c.refused",
    "allocator objects": "\n    with zct.numpy_allocator(): np.full(9000, len)",
    "rare dtypes": "zct.create_shared_tensor('d', np.zeros(3, 'M8[%ds]' % (1 + i % 40)), exists='replace')",
    "structured attach": "zct.attach_shared_tensor('s'); zct.attach_shared_tensor('s', 4, s.dtype)['n']['k']",
    "structured attach, wrong": "fails(ValueError, zct.attach_shared_tensor, 's', None, [('a', 'f4')])",
    "structured create": "zct.create_shared_tensor('r', records, exists='replace')",
    "structured, other dtypes": "zct.create_shared_tensor('r', np.zeros(2, [('a%d' % (i % 90), 'f4', (2,))]), exists='replace')",
    "structured, renamed": "t = zct.attach_shared_tensor('s'); t.dtype.names = 'ab'; t.dtype['b'].names = ('%d' % (i % 2),)",
    "structured, made": "zct.zeros(3, s.dtype); zct.full(2, s[0]); zct.empty_like(s)",
    "structured by reference": "F.loads(F.dumps(s)); F.loads(F.dumps(s['n']['k'])); s[1:].handle.attach()",
    "structured, attached by create": "zct.create_shared_tensor('s', records, exists='attach'); s[0].tolist(); s['x'] + 1",
    "structured with objects": "fails(TypeError, zct.create_shared_tensor, 'o', np.zeros(1, [('a', 'O')]))",
    "structured without a descriptor": "fails(TypeError, zct.empty, 1, [((i, 'a'), 'i4')])",
    "sub-array dtype": "fails(TypeError, zct.empty, 1, ('f4', (2,)))",
    "like": "zct.empty_like(x); zct.empty_like(x, 'f4', shape=(2, 2), order='F')",
    "close": "t = zct.attach_shared_tensor('x'); t.close(); t.closed; fails(zct.ClosedError, lambda: t.handle)",
    "sealed": "t = zct.create_shared_tensor('e', data, seal=True, exists='replace'); fails(ValueError, t.setflags, write=True)",
    "seal": "zct.create_shared_tensor('e', data, exists='replace').seal()",
    "unlink": "t = zct.create_shared_tensor('u', data); t.unlink(); t.unlink(); zct.unlink_shared_tensor('u', missing_ok=True)",
    "unlink missing": "fails(zct.TensorNotFoundError, zct.unlink_shared_tensor, 'none')",
    "lifetimes": "[zct.create_shared_tensor(n, data, lifetime=n, exists='replace') for n in ('last', 'owner', 'pinned')]",
    "buffers": "memoryview(x).cast('B')[0]; np.frombuffer(x, 'u1')[1:].sum(); np.asarray(x.base).nbytes",
    "damaged handle": "fails(ValueError, _core._rebuild_handle, b'', 'p', 'n', None)",
    "looking": "\n    with zct.Store() as z: z.check(); z.trim(1 << 20); z.gc(handles=3600); z.list_stores(); z.name, z.path",
    "views": "x[1:].T.reshape(-1).name; x.array[0]",
    "attributes": "x.name, x.store, x.generation, x.mode, x.sealed, x.holders, x.is_shared, x.closed",
    "arithmetic": "x + 1; x.sum(); np.add(x, 0, out=x); x.copy(); x.astype('f4')",
    "sums": "x.atomic_add(data); fails(ValueError, x.atomic_add, np.zeros(77))",
    "elements": "x.fetch_add((0, 0), 1); x.exchange((1, 1), 2.0); x.compare_exchange((1, 1), 2.0, 3.0)",
    "snapshot": "x.snapshot(); x.snapshot(data[:3, :4].copy() if data.ndim == 2 and data.shape == x.shape else None)",
    "versions": "x.commit(); x.wait(0); zct.wait_any([x], [0]); fails(TimeoutError, x.wait, timeout=0)",
    "handle": "x.handle.attach(); x[1:].handle",
    "pickled handle": "pickle.loads(pickle.dumps(x.handle)).attach()",
    "by reference": "F.loads(F.dumps(x)); F.loads(F.dumps(x[:, 1:]))",
    "handles dropped from the store": "F.dumps(x); F.dumps(x[1:]); zct.Store().gc(handles=0)",
    "handle taken twice": "s = F.dumps(x); F.loads(s); F.loads(s)",
    "by value": "pickle.loads(pickle.dumps(x)); copy.deepcopy(x)",
    "list": "zct.list_shared_tensors()",
    "store": "\n    with zct.Store() as s: s.stats(); s.list(); s.gc()",
    "another store": "\n    with zct.Store('o', capacity=1 << 20) as s: s.create('x', data, lifetime='last')",
    "attach posix": "zct.attach_posix(theirs, (2, 3), 'f4', offset=5)[0] + 1",
    "attach posix too short": "fails(ValueError, zct.attach_posix, theirs, 1000, 'f8')",
    "attach posix missing": "fails(FileNotFoundError, zct.attach_posix, 'zct-none', 1, 'u1')",
    "posix location": "x[1:, ::2].posix_location()",
    "attach async": "loop.run_until_complete(zct.attach_async('x'))",
    "attach async late": "loop.run_until_complete(late(i))",
    "attach async cancelled": "loop.run_until_complete(cancelled())",
    "SharedMemory": "s = sm.SharedMemory(create=True, size=100); sm.SharedMemory(s.name).buf[0]; s.close(); s.unlink()",
    "ShareableList": "l = sm.ShareableList([1, 'two']); l[1] = 'x'; list(sm.ShareableList(name=l.shm.name)); l.shm.unlink()",
    "sharedarray": "sa.create('sa', 3); sa.attach('sa', ro=True); sa.list(); sa.delete('sa')",
    "owned": "fails(FileExistsError, zct.zeros, 3, name='x', exists='owned')",
    "bad name": "fails(ValueError, zct.attach_shared_tensor, '')",
    "bad keyword": "fails(TypeError, zct.attach_shared_tensor, nothing=1)",
}

CODE = """
import copy, os, pickle, sys, threading
import numpy as np
import zero_copy_tensor_ipc as zct
from multiprocessing.reduction import ForkingPickler as F
from zero_copy_tensor_ipc import _core

def fails(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error:
        return
    raise SystemExit("no error")

import asyncio, atexit
from zero_copy_tensor_ipc.compat import shared_memory as sm, sharedarray as sa
loop = asyncio.new_event_loop()
theirs = "zct-leaks-%d" % os.getpid()
with open("/dev/shm/" + theirs, "wb") as f:
    f.write(bytes(100))
atexit.register(os.unlink, f.name)

async def late(i):
    task = asyncio.ensure_future(zct.attach_async("late%d" % (i % 3)))
    await asyncio.sleep(0)
    with zct.create_shared_tensor("late%d" % (i % 3), data):
        return await task

async def cancelled():
    task = asyncio.ensure_future(zct.attach_async("never"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

def counts():
    for thread in threading.enumerate():  # a watch ends behind its last waiter, and lets its tensor go last
        if thread.name.startswith("zct "):
            thread.join(60)
    with open("/proc/self/statm") as f:
        memory = int(f.read().split()[1]) * 4096
    with open("/proc/self/maps") as f:
        maps = sum(1 for _ in f)
    return memory, maps, len(os.listdir("/proc/self/fd")), len(os.listdir(os.environ["ZCT_DIR"]))

data = np.arange(12.0).reshape(3, 4)
x = zct.create_shared_tensor("x", data)
records = np.zeros(4, [("x", "f4"), ("n", [("k", ">i8")])])
s = zct.create_shared_tensor("s", records)
exec(compile("def work(n):\\n  for i in range(n):\\n    " + sys.argv[1], "<operation>", "exec"))
n = int(sys.argv[2])
work(n // 4)
before = counts(), zct.Store().stats()
work(n)
after = counts(), zct.Store().stats()
print(after[0][0] - before[0][0])
assert after[0][0] - before[0][0] < 40 * n + (1 << 16), (before, after)  # less than a small object a round, and some pages
assert after[0][1] - before[0][1] <= 4 and after[0][2:] == before[0][2:], (before, after)
assert after[1].names == before[1].names and after[1].handles == before[1].handles, (before, after)
assert after[1].used == before[1].used and after[1].high <= before[1].high + (1 << 20), (before, after)
"""


@pytest.mark.slow
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_growth(python, operation):
    n = 1000 if os.environ.get("TEST_QUICK") else 10000
    env = {"OPENBLAS_NUM_THREADS": "1", "ZCT_CAPACITY": str(64 << 20), "MALLOC_ARENA_MAX": "1"}
    python(CODE, OPERATIONS[operation], n, env=env)
