"""Other packages' interfaces over this one's stores: a program changes one import line.

shared_memory   multiprocessing.shared_memory of the standard library, and SharedMemoryManager of its managers
sharedarray     SharedArray

>>> from zero_copy_tensor_ipc.compat import shared_memory
>>> shm = shared_memory.SharedMemory(create=True, size=16)
>>> shm.buf[:5] = b"hello"
>>> bytes(shared_memory.SharedMemory(shm.name).buf[:5])
b'hello'
>>> shm.unlink()
"""
