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
    "views": "x[1:].T.reshape(-1).name; x.array[0]",
    "attributes": "x.name, x.store, x.generation, x.mode, x.sealed, x.holders, x.is_shared, x.closed",
    "arithmetic": "x + 1; x.sum(); np.add(x, 0, out=x); x.copy(); x.astype('f4')",
    "elements": "x.fetch_add((0, 0), 1); x.exchange((1, 1), 2.0); x.compare_exchange((1, 1), 2.0, 3.0)",
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
    "bad name": "fails(ValueError, zct.attach_shared_tensor, '')",
    "bad keyword": "fails(TypeError, zct.attach_shared_tensor, nothing=1)",
}

CODE = """
import copy, os, pickle, sys
import numpy as np
import zero_copy_tensor_ipc as zct
from multiprocessing.reduction import ForkingPickler as F

def fails(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error:
        return
    raise SystemExit("no error")

def counts():
    with open("/proc/self/statm") as f:
        memory = int(f.read().split()[1]) * 4096
    with open("/proc/self/maps") as f:
        maps = sum(1 for _ in f)
    return memory, maps, len(os.listdir("/proc/self/fd")), len(os.listdir(os.environ["ZCT_DIR"]))

data = np.arange(12.0).reshape(3, 4)
x = zct.create_shared_tensor("x", data)
exec(compile("def work(n):\\n  for i in range(n):\\n    " + sys.argv[1], "<operation>", "exec"))
n = int(sys.argv[2])
work(n // 4)
before = counts(), zct.Store().stats()
work(n)
after = counts(), zct.Store().stats()
print(after[0][0] - before[0][0])
assert after[0][0] - before[0][0] < 40 * n, (before, after)  # bytes: less than one small object a round
assert after[0][1] - before[0][1] <= 4 and after[0][2:] == before[0][2:], (before, after)
assert after[1].names == before[1].names and after[1].handles == before[1].handles, (before, after)
assert after[1].used == before[1].used and after[1].high <= before[1].high + (1 << 20), (before, after)
"""


@pytest.mark.slow
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_growth(python, operation):
    n = 1000 if "store" in operation or os.environ.get("TEST_QUICK") else 10000
    env = {"OPENBLAS_NUM_THREADS": "1", "ZCT_CAPACITY": str(64 << 20), "MALLOC_ARENA_MAX": "1"}
    python(CODE, OPERATIONS[operation], n, env=env)
