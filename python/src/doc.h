/* doc.h - the docstrings. Shapes are in elements, sizes in bytes, times in seconds. Each example runs as a doctest. */
#ifndef ZPY_DOC_H
#define ZPY_DOC_H

/* ---- functions -------------------------------------------------------------------------------------------- */

#define DOC_CREATE_ARGS                                                                                              \
    "name: str, 1 to 255 bytes of UTF-8. data: an array, or what numpy.asarray takes, of any shape; it is copied\n"  \
    "once, unless it is the whole of an unnamed block of the store already (made by empty() and its kin, or inside\n" \
    "numpy_allocator()): then it gets the name where it lies.\n"                                                     \
    "Any dtype without references to Python objects, in any byte order; structured ones with their offsets, titles,\n" \
    "padding and alignment.\n"                                                                                       \
    "dtype, order: what to convert to; None keeps them. copy: None copies if needed, True always, False never\n"     \
    "(BufferError where it would be needed). lifetime: \"persistent\" (until unlinked), \"pinned\" (and never a\n"   \
    "leftover), \"owner\" (until this process goes), \"last\" (until the last holder goes). seal: born read-only.\n" \
    "exists: if a living process holds the name, \"error\" raises, \"replace\" swaps it (holders keep the old one),\n" \
    "\"attach\" attaches, if dtype and shape agree. What nobody alive holds is a leftover, and replaced, with\n"      \
    "\"owned\" only once the process that made it has gone, too; else that is \"error\".\n\n"                           \
    "Raises TensorExistsError, StoreFullError, StoreBusyError, ValueError (name, shape), TypeError (a dtype with\n"  \
    "references to Python objects), BufferError.\n\n"

#define DOC_CREATE_SHARED_TENSOR                                                                                     \
    "create_shared_tensor($module, name, data, *, store=None, dtype=None, order=None, exists=\"error\", copy=None, " \
    "lifetime=\"persistent\", seal=False)\n--\n\n"                                                                   \
    "Put an array into a store under a name; returns the SharedTensor.\n\n" DOC_CREATE_ARGS                           \
    ">>> t = create_shared_tensor(\"doc/weights\", np.arange(6.0).reshape(2, 3))\n"                                  \
    ">>> t.name, t.shape, t.is_shared\n"                                                                             \
    "('doc/weights', (2, 3), True)\n"                                                                                \
    ">>> unlink_shared_tensor(\"doc/weights\")\n"                                                                    \
    ">>> with create_shared_tensor(\"doc/points\", np.zeros(2, [(\"x\", \"f4\"), (\"n\", \"i8\")])):\n"                 \
    "...     attach_shared_tensor(\"doc/points\").dtype[\"n\"]\n"                                                     \
    "dtype('int64')\n"

#define DOC_ATTACH_SHARED_TENSOR                                                                                     \
    "attach_shared_tensor($module, name, shape=None, dtype=None, *, mode=None, store=None, timeout=0)\n--\n\n"       \
    "Attach to a named tensor, made by any process: no copy, well under a microsecond.\n\n"                          \
    "shape and dtype come from the store; where given, they are checked (ValueError). mode: \"r\" (read-only by\n"   \
    "the hardware), \"r+\", \"c\" (copy-on-write: what is written stays private); None is \"r+\", or \"r\" for a\n"  \
    "sealed tensor. timeout: seconds to wait for a name that is not there yet, None for ever.\n\n"                   \
    "Raises TensorNotFoundError, ValueError, PermissionError (\"r+\" on a sealed tensor).\n\n"                       \
    ">>> with create_shared_tensor(\"doc/x\", np.ones(3)):\n"                                                        \
    "...     float(attach_shared_tensor(\"doc/x\", (3,), np.float64, mode=\"r\").sum())\n"                           \
    "3.0\n"

#define DOC_UNLINK_SHARED_TENSOR                                                                                     \
    "unlink_shared_tensor($module, name, *, store=None, missing_ok=False)\n--\n\n"                                            \
    "End a name, whoever made it. Arrays over its memory stay valid until they are gone, in every process.\n\n"      \
    "Raises TensorNotFoundError, unless missing_ok.\n\n"                                                             \
    ">>> unlink_shared_tensor(\"doc/none\", missing_ok=True)\n"

#define DOC_LIST_SHARED_TENSORS                                                                                      \
    "list_shared_tensors($module, store=None)\n--\n\n"                                                                        \
    "The named tensors of a store as they are at one moment: a list of TensorInfo records\n"                         \
    "(name, dtype, shape, nbytes, generation, holders).\n\n"                                                         \
    ">>> with create_shared_tensor(\"doc/listed\", np.zeros((2, 2), np.int16)):\n"                                   \
    "...     [(i.name, i.shape, i.nbytes) for i in list_shared_tensors() if i.name == \"doc/listed\"]\n"             \
    "[('doc/listed', (2, 2), 8)]\n"

#define DOC_MAKE_REST                                                                                                \
    "dtype: None is float, in full() that of fill_value, in empty_like() the prototype's.\n"                          \
    "Without a name it is an unnamed block that create_shared_tensor() can name later without a copy; it lasts\n"    \
    "until the last array over it is gone. exists and lifetime are those of create_shared_tensor().\n\n"             \
    "Raises ValueError (shape), TypeError (dtype), StoreFullError, TensorExistsError.\n\n"

#define DOC_EMPTY                                                                                                    \
    "empty($module, shape, dtype=None, *, order=\"C\", name=None, store=None, exists=\"error\", "                   \
    "lifetime=\"persistent\")\n--\n\n"                                                                               \
    "An array in the store, its elements not set. " DOC_MAKE_REST                                                    \
    ">>> empty((2, 3), np.int8).shape\n(2, 3)\n"
#define DOC_ZEROS                                                                                                    \
    "zeros($module, shape, dtype=None, *, order=\"C\", name=None, store=None, exists=\"error\", "                   \
    "lifetime=\"persistent\")\n--\n\n"                                                                               \
    "An array of zeros in the store. " DOC_MAKE_REST ">>> int(zeros(4, np.int8).sum())\n0\n"
#define DOC_ONES                                                                                                     \
    "ones($module, shape, dtype=None, *, order=\"C\", name=None, store=None, exists=\"error\", "                    \
    "lifetime=\"persistent\")\n--\n\n"                                                                               \
    "An array of ones in the store. " DOC_MAKE_REST ">>> int(ones(4, np.int8).sum())\n4\n"
#define DOC_FULL                                                                                                     \
    "full($module, shape, fill_value, dtype=None, *, order=\"C\", name=None, store=None, exists=\"error\", "         \
    "lifetime=\"persistent\")\n--\n\n"                                                                               \
    "An array of fill_value, which may be an array that broadcasts, in the store. " DOC_MAKE_REST                    \
    ">>> full((2, 2), 7).tolist()\n[[7, 7], [7, 7]]\n"
#define DOC_EMPTY_LIKE                                                                                               \
    "empty_like($module, prototype, dtype=None, *, shape=None, order=\"K\", name=None, store=None, "                 \
    "exists=\"error\", lifetime=\"persistent\")\n--\n\n"                                                             \
    "An array in the store with the shape and dtype of another, its elements not set. " DOC_MAKE_REST                \
    ">>> empty_like(np.zeros((2, 3), np.int16)).dtype\ndtype('int16')\n"

#define DOC_ATTACH_POSIX                                                                                             \
    "attach_posix($module, name, shape, dtype, *, offset=0, mode=\"r+\")\n--\n\n"                                   \
    "An array over a POSIX shared-memory segment that another program made, such as one of\n"                       \
    "multiprocessing.shared_memory: no copy, no resource tracker.\n\n"                                               \
    "name: that of shm_open, with or without the slash before it. shape, dtype: what lies there, which the segment\n" \
    "does not say. offset: bytes before it. mode: \"r\" (read-only by the hardware), \"r+\", \"c\" (copy-on-write).\n"  \
    "Returns a plain ndarray; the mapping lasts until the last array over it is gone, also when the segment is\n"    \
    "unlinked. Nobody may make the segment shorter meanwhile.\n\n"                                                   \
    "Raises FileNotFoundError, PermissionError, ValueError (the segment is too short for shape and dtype, a name\n"  \
    "with '/' inside), TypeError (a dtype with references to Python objects).\n\n"                                   \
    ">>> from multiprocessing.shared_memory import SharedMemory\n"                                                   \
    ">>> theirs = SharedMemory(create=True, size=24)\n"                                                              \
    ">>> a = attach_posix(theirs.name, (2, 3), np.float32)\n"                                                        \
    ">>> a[:] = 1.5\n"                                                                                               \
    ">>> bytes(theirs.buf[:4]) == np.float32(1.5).tobytes()\n"                                                       \
    "True\n"                                                                                                         \
    ">>> theirs.close(); theirs.unlink()\n"                                                                          \
    ">>> float(a.sum())\n"                                                                                           \
    "9.0\n"

/* ---- SharedTensor ---------------------------------------------------------------------------------------- */

#define DOC_TENSOR                                                                                                   \
    "An ndarray whose elements lie in a store, for every process that attaches to it.\n\n"                           \
    "Slices and other views are SharedTensors over the same memory; results and copies are plain arrays. The memory\n" \
    "stays until the last array over it, in any process, is gone, whatever happens to the name, to its maker or to\n" \
    "the Store object. In a `with` statement, leaving it unlinks what this attachment made and closes what it\n"     \
    "attached. multiprocessing passes one by reference; plain pickle and copy go by value.\n\n"                      \
    ">>> with create_shared_tensor(\"doc/t\", np.arange(4)) as t:\n"                                                 \
    "...     t[1:].is_shared, type(t + 1).__name__\n"                                                                \
    "(True, 'ndarray')\n"
#define DOC_TENSOR_NAME "The tensor's name, its last one after unlink; None if it has none."
#define DOC_TENSOR_STORE "The Store that it lies in; None for a result in private memory."
#define DOC_TENSOR_GENERATION "1 for a name's first tensor, one more for each that replaced it; None for a result."
#define DOC_TENSOR_VERSION "How many completed writes were counted, from 0; None for a result."
#define DOC_TENSOR_MODE "How it is attached: \"r\", \"r+\" or \"c\"; None for a result."
#define DOC_TENSOR_SEALED "True once the tensor is only attached read-only."
#define DOC_TENSOR_HOLDERS "How many living processes hold it, this one included."
#define DOC_TENSOR_IS_SHARED "True if the elements lie in a store; False for a result that NumPy made in private memory."
#define DOC_TENSOR_CLOSED "True after close()."
#define DOC_TENSOR_HANDLE                                                                                            \
    "A new Handle: a small reference to this tensor, or to this part of it, that can be sent to another process.\n\n" \
    "Raises TooManyHandlesError, ClosedError, ValueError (mode \"c\", or not shared)."
#define DOC_TENSOR_ARRAY "A plain ndarray over the same memory: for hot loops."
#define DOC_TENSOR_POSIX_LOCATION                                                                                    \
    "posix_location($self)\n--\n\n"                                                                                  \
    "Where the elements lie, for programs that map them without this package: PosixLocation(path, offset, nbytes).\n\n" \
    "offset: bytes from the start of the file, a multiple of the page size for a tensor of a page or more; that of\n" \
    "a view is where its first byte is, nbytes reaches to its last. It holds as long as this array does; the file\n" \
    "has other tensors around it. In mode \"c\" it is what all see, without what was written here.\n\n"             \
    "Raises StoreGoneError once the file was removed, ClosedError, ValueError (not shared).\n\n"                    \
    ">>> with create_shared_tensor(\"doc/t\", np.arange(8, dtype=np.uint8)) as t, open(t.store.path, \"rb\") as f:\n" \
    "...     where = t[2:5].posix_location()\n"                                                                      \
    "...     where.path == f.name and f.seek(where.offset) == where.offset\n"                                        \
    "...     f.read(where.nbytes)\n"                                                                                 \
    "True\n"                                                                                                         \
    "b'\\x02\\x03\\x04'\n"
#define DOC_TENSOR_CLOSE                                                                                             \
    "close($self)\n--\n\nEnd this attachment: its own methods raise ClosedError from now on.\n\n"                    \
    "Its elements stay valid, and the memory is held until the array and its views are gone."
#define DOC_TENSOR_UNLINK                                                                                            \
    "unlink($self)\n--\n\nEnd the name, if this attachment made it, in this process, and it still means this tensor.\n\n" \
    "Else nothing happens: unlink_shared_tensor() ends any name. Raises ClosedError, StoreBusyError."
#define DOC_TENSOR_SEAL                                                                                              \
    "seal($self)\n--\n\nFrom now on the tensor is attached read-only; arrays that this process has stay writable.\n\n" \
    "Raises StoreBusyError while another process holds it, ClosedError."
#define DOC_TENSOR_COMMIT                                                                                            \
    "commit($self)\n--\n\nCount a completed write and wake whoever waits for one; returns the count.\n\n"           \
    "A notification: it protects nothing. A reader that was woken may meet the next write half done.\n\n"            \
    "Raises PermissionError for an attachment that cannot write, ClosedError.\n\n"                                 \
    ">>> t = zeros(3)\n>>> t[:] = 1\n>>> t.commit(), t.version\n(1, 1)\n"
#define DOC_TENSOR_WAIT                                                                                              \
    "wait($self, newer_than=None, timeout=None)\n--\n\nSleep until the tensor's version is beyond newer_than; returns it.\n\n" \
    "newer_than: the version that was seen; None is the one at the call. timeout: seconds, 0 only looks, None waits\n" \
    "for ever. Ctrl-C works.\n\n"                                                                                  \
    "Raises TimeoutError, TensorReplacedError (attach again), TensorNotFoundError (unlinked), ClosedError.\n\n"    \
    ">>> t = zeros(3)\n>>> t.commit()\n1\n>>> t.wait(newer_than=0)\n1\n"
#define DOC_TENSOR_READ_LOCK                                                                                         \
    "read_lock($self, timeout=None, recover=False)\n--\n\nA guard: `with t.read_lock() as a:` locks the tensor for reading.\n\n" \
    "a is a read-only array. Any number of processes and threads read at once, none while one writes; a thread may lock\n" \
    "again for reading. It is advice: t itself can be touched without. timeout: seconds, 0 only tries, None waits for\n" \
    "ever, and Ctrl-C works. recover: also where a writer died (guard.recovered tells).\n\n"                       \
    "Entering raises TimeoutError, WriterDiedError, RuntimeError (this thread writes it), ClosedError.\n\n"        \
    ">>> t = zeros(3)\n>>> with t.read_lock() as a:\n...     float(a.sum())\n0.0\n"
#define DOC_TENSOR_WRITE_LOCK                                                                                        \
    "write_lock($self, timeout=None, recover=False)\n--\n\n"                                                           \
    "A guard: `with t.write_lock() as a:` locks the tensor for writing.\n\n"                                         \
    "a is t. A process that dies in the block poisons the tensor: every lock raises WriterDiedError until somebody takes\n" \
    "it with recover=True and leaves the block without an exception, or calls guard.mark_consistent() in it.\n"     \
    "timeout as for read_lock(). A forked child has none of its parent's locks.\n\n"                               \
    "Entering raises TimeoutError, WriterDiedError, RuntimeError (this thread has it locked), PermissionError (read-only,\n" \
    "sealed), ClosedError.\n\n"                                                                                    \
    ">>> t = zeros(3)\n>>> with t.write_lock(timeout=1) as a:\n...     a += 1\n"
#define DOC_GUARD                                                                                                    \
    "What SharedTensor.read_lock() and write_lock() return: a context manager that locks when it is entered.\n\n"  \
    "It may be entered again after it was left, and left by another thread than entered it.\n\n"                   \
    ">>> t = zeros(3)\n>>> guard = t.write_lock()\n>>> with guard as a:\n...     guard.held\nTrue\n"
#define DOC_GUARD_MARK_CONSISTENT                                                                                    \
    "mark_consistent($self)\n--\n\nThe contents are whole: when the lock is left, the tensor is not poisoned any more.\n\n" \
    "RuntimeError unless the tensor is locked for writing."
#define DOC_GUARD_HELD "Whether this process holds the lock now; in a forked child False."
#define DOC_GUARD_RECOVERED "Whether the last writer had died while writing, when this guard was entered last: mend the contents."
#define DOC_TENSOR_WAIT_ASYNC                                                                                        \
    "wait_async($self, newer_than=None, timeout=None)\n--\n\nawait a newer version in the running event loop; as wait().\n\n" \
    "Nothing polls: one thread of the process sleeps for all of them. The wait can be cancelled.\n\n"               \
    ">>> import asyncio\n>>> t = zeros(3)\n>>> async def both():\n...     waiting = asyncio.ensure_future(t.wait_async(0))\n" \
    "...     await asyncio.sleep(0)\n...     t.commit()\n...     return await waiting\n>>> asyncio.run(both())\n1\n"
#define DOC_WAIT_ANY                                                                                                 \
    "wait_any($module, tensors, newer_than=None, timeout=None)\n--\n\n"                                              \
    "Sleep until one of several tensors of one store has a newer version; returns its index.\n\n"                  \
    "newer_than: a version for each tensor; None is what they are at the call. timeout: seconds, None for ever.\n\n" \
    "Raises TimeoutError, TensorReplacedError and TensorNotFoundError as SharedTensor.wait() does, ValueError.\n\n" \
    ">>> a, b = zeros(3), zeros(3)\n>>> b.commit()\n1\n>>> wait_any([a, b], [0, 0])\n1\n"
#define DOC_TENSOR_SNAPSHOT                                                                                          \
    "snapshot($self, out=None, timeout=None)\n--\n\n"                                                                \
    "A plain ndarray with a copy of the whole tensor that is not torn, although others may be writing it under its\n" \
    "write lock meanwhile.\n\n"                                                                                     \
    "out: an array of the same shape, dtype and memory layout to copy into. No lock is taken unless a writer is met\n" \
    "again and again. timeout: seconds to wait for a writer then, None for ever.\n\n"                              \
    "Raises WriterDiedError, TimeoutError, ValueError (a view of a part; out), RuntimeError inside this thread's own\n" \
    "write lock.\n\n"                                                                                              \
    ">>> t = zeros((2, 2))\n>>> t.snapshot().tolist()\n[[0.0, 0.0], [0.0, 0.0]]\n"
#define DOC_TENSOR_ATOMIC_ADD                                                                                        \
    "atomic_add($self, values, timeout=None)\n--\n\n"                                                                \
    "Add an array, or what broadcasts, under the tensor's write lock: no addition of many processes is lost.\n\n"  \
    "Plain t += values loses updates when others add at the same time. timeout: seconds, None for ever.\n\n"       \
    "Raises as write_lock() does, and TypeError or ValueError where numpy.add cannot add.\n\n"                     \
    ">>> t = zeros(3)\n>>> t.atomic_add([1, 2, 3])\n>>> t.tolist(), t.version\n([1.0, 2.0, 3.0], 1)\n"
#define DOC_TENSOR_FETCH_ADD                                                                                         \
    "fetch_add($self, index, value, /)\n--\n\nAdd to one element atomically; returns what it was before.\n\n"        \
    "index: an int, or a tuple of one for each dimension. For integers (which wrap around) and floats of 4 or 8 bytes,\n" \
    "of a tensor attached \"r+\": sparse updates by many processes, without a lock. Plain a[i] += 1 beside it loses\n" \
    "updates. Raises IndexError, ValueError (dtype, alignment), PermissionError.\n\n"                              \
    ">>> t = zeros(4, np.int64)\n>>> int(t.fetch_add(2, 5)), t.tolist()\n(0, [0, 0, 5, 0])\n"
#define DOC_TENSOR_EXCHANGE                                                                                          \
    "exchange($self, index, value, /)\n--\n\nSet one element of 4 or 8 bytes atomically; returns what it was before.\n\n" \
    "Raises as fetch_add() does.\n\n"                                                                              \
    ">>> t = zeros(4, np.float32)\n>>> float(t.exchange(0, 1.5)), float(t[0])\n(0.0, 1.5)\n"
#define DOC_TENSOR_COMPARE_EXCHANGE                                                                                  \
    "compare_exchange($self, index, expected, value, /)\n--\n\n"                                                   \
    "Set one element of 4 or 8 bytes to value if its bytes are those of expected; returns whether they were.\n\n"  \
    "Raises as fetch_add() does.\n\n"                                                                              \
    ">>> t = zeros(4, np.uint32)\n>>> t.compare_exchange(1, 0, 7), t.compare_exchange(1, 0, 8)\n(True, False)\n"
#define DOC_TENSOR_COPY "copy($self, order=\"C\")\n--\n\nA plain ndarray with a copy of the elements."
#define DOC_TENSOR_ASTYPE "A plain ndarray of another dtype; see numpy.ndarray.astype."
#define DOC_TENSOR_FLATTEN "flatten($self, order=\"C\")\n--\n\nA plain one-dimensional ndarray with a copy of the elements."
#define DOC_TENSOR_TAKE "A plain ndarray of the elements at the indices; see numpy.ndarray.take."

/* ---- Handle ------------------------------------------------------------------------------------------------ */

#define DOC_HANDLE                                                                                                   \
    "A small reference to a tensor, or to a part of one; made by SharedTensor.handle.\n\n"                           \
    "It can be pickled and sent anywhere on this machine. The tensor stays alive until the handle was attached once,\n" \
    "or the process that made it ends; attaching again works as long as somebody still holds the tensor."
#define DOC_HANDLE_ATTACH                                                                                            \
    "attach($self, mode=None)\n--\n\nThe SharedTensor that it refers to; mode as in attach_shared_tensor().\n\n"     \
    "Raises TensorNotFoundError if the tensor has ended, or the store is not on this machine; ValueError for damaged bytes."
#define DOC_HANDLE_NAME "The tensor's name when the handle was made, or None."
#define DOC_HANDLE_PATH "The file of the store."

/* ---- Store --------------------------------------------------------------------------------------------------- */

#define DOC_STORE                                                                                                    \
    "Store(name=None, *, capacity=None, directory=None, mode=0o600, max_names=None, max_members=None)\n--\n\n"       \
    "Open a store, made if there is none, and join it.\n\n"                                                          \
    "name: None is $ZCT_STORE, else \"default\"; one with a '/' is a file's path. capacity: bytes of payload; None is\n" \
    "the store's own, for a new one $ZCT_CAPACITY or the size of the file system. directory: None is $ZCT_DIR, else\n" \
    "/dev/shm. mode: permission bits of a new store: who may open it is trusted. A capacity, max_names or\n"         \
    "max_members that differs from an existing store's is a ValueError. Leaving `with` closes the object.\n"         \
    "The path of a file that one may only read gives a Store that looks: list(), stats() and check().\n\n"           \
    "Raises PermissionError, StoreVersionError, StoreCorruptError, StoreFullError, TooManyMembersError,\n"           \
    "StoreBusyError.\n\n"                                                                                            \
    ">>> with Store(\"doc-store\", capacity=1 << 20) as s:\n"                                                        \
    "...     with s.create(\"x\", np.ones(3)) as x:\n"                                                               \
    "...         [i.name for i in s.list()]\n"                                                                       \
    "['x']\n"
#define DOC_STORE_NAME "The store's name."
#define DOC_STORE_PATH "The store's file."
#define DOC_STORE_CAPACITY "Bytes of payload that may be used."
#define DOC_STORE_CLOSED "True after close()."
#define DOC_STORE_CREATE                                                                                             \
    "create($self, name, data, *, dtype=None, order=None, exists=\"error\", copy=None, lifetime=\"persistent\", "    \
    "seal=False)\n--\n\nPut an array into this store under a name; returns the SharedTensor.\n\n" DOC_CREATE_ARGS
#define DOC_STORE_ATTACH                                                                                             \
    "attach($self, name, shape=None, dtype=None, *, mode=None, timeout=0)\n--\n\n"                                   \
    "Attach to a named tensor of this store; as attach_shared_tensor()."
#define DOC_STORE_UNLINK "unlink($self, name, *, missing_ok=False)\n--\n\nEnd a name; as unlink_shared_tensor()."
#define DOC_STORE_LIST "list($self)\n--\n\nThe named tensors; as list_shared_tensors()."
#define DOC_STORE_STATS "stats($self)\n--\n\nThe store's figures: a StoreStats record."
#define DOC_STORE_CHECK                                                                                              \
    "check($self)\n--\n\nCheck every invariant of the store: a list of findings (str), empty when it is whole."
#define DOC_STORE_GC                                                                                                 \
    "gc($self, *, unheld=False, older_than=None, handles=None)\n--\n\n"                                              \
    "Clean up after dead processes; returns a GcResult (members, tensors, handles).\n\n"                             \
    "unheld: also end named tensors that no living process holds (never pinned ones), born at least older_than\n"    \
    "seconds ago. handles: drop this process's own handles in flight that are older than so many seconds.\n"         \
    "Waits up to 10 s; raises StoreBusyError."
#define DOC_STORE_TRIM                                                                                               \
    "trim($self, keep=0)\n--\n\nGive free memory beyond keep bytes back to the system; returns the bytes given."
#define DOC_STORE_CLOSE "close($self)\n--\n\nLet go of the store. Arrays over its memory stay valid."
#define DOC_STORE_DESTROY                                                                                            \
    "destroy(name, *, directory=None)\n--\n\n"                                                                       \
    "Remove a store. Live arrays stay valid; the next call of a Store over it raises StoreGoneError.\n\n"            \
    "Raises FileNotFoundError, StoreBusyError."
#define DOC_STORE_LIST_STORES                                                                                        \
    "list_stores(directory=None)\n--\n\nThe stores of a directory that this user may see: a list of StoreInfo (name, path)."

/* ---- numpy_allocator ------------------------------------------------------------------------------------------- */

#define DOC_ALLOCATOR                                                                                                \
    "numpy_allocator(store=None, min_bytes=65536)\n--\n\n"                                                           \
    "Inside `with numpy_allocator():` NumPy puts the arrays that this thread or task makes into the store.\n\n"      \
    "Arrays of fewer than min_bytes bytes come from malloc, and so do all where the store has no room: said once in\n" \
    "the log, and counted in `refused`. An array made inside can be named by create_shared_tensor() without a copy. It\n" \
    "stays valid after the `with`, and after the store's end. Tasks and threads that are given a copy of the context\n" \
    "inside (asyncio.create_task) have the allocator too.\n\n"                                                       \
    ">>> with numpy_allocator():\n"                                                                                  \
    "...     a = np.ones(100_000)\n"                                                                                 \
    ">>> with create_shared_tensor(\"doc/a\", a) as t:\n"                                                            \
    "...     np.shares_memory(a, t)\n"                                                                               \
    "True\n"
#define DOC_ALLOCATOR_REFUSED                                                                                        \
    "Arrays of min_bytes bytes and more that came from malloc, because the store had no room or could not be opened."

#endif /* ZPY_DOC_H */
