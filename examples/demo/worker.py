"""One worker process of the demo: attach by name, check every byte, embed sentences, report."""

import os
import signal
import time
import zlib

import memory
import numpy as np
import tokens
import zero_copy_tensor_ipc as zct
from encoder import Encoder


def checksum(array):
    return zlib.crc32(array.reshape(-1).view(np.uint8))


def embed(weights, store, texts, part, parts):
    """Embed every parts-th text and write the vectors into their rows of the shared result."""
    tokenizer = tokens.load(tokens.model_folder())
    result = store.attach("demo/result")  # writable; each worker has rows of its own, so nobody has to wait
    ids = tokens.encode(tokenizer, texts[part::parts])
    start = time.perf_counter()
    Encoder(weights).embed(ids, out=result[part::parts])
    return {"texts": len(ids), "seconds": time.perf_counter() - start}


def work(pipe, store_name, path, names, texts, part, parts):
    """Body of the process. The pipe carries reports and 'go on', never a tensor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends us
    try:
        start = time.perf_counter()
        with zct.Store(store_name) as store:
            store.attach(names[0], mode="r")  # the first one joins the store and maps it
            joined = time.perf_counter()
            weights = {name: store.attach(name, mode="r") for name in names}
            attached = time.perf_counter()
            for name in names:  # once more, for the figure: an array by name, usable, and dropped
                store.attach(name, mode="r")
            again = time.perf_counter()
            plain = {name: np.asarray(tensor) for name, tensor in weights.items()}  # views, for the hot loop
            sums = {name: checksum(array) for name, array in plain.items()}
            times = {"join": joined - start, "attach": attached - joined, "again": again - attached}
            pipe.send({"pid": os.getpid(), "sums": sums, **times})
            pipe.recv()  # all have attached
            pipe.send(embed(plain, store, texts, part, parts) if texts else {"texts": 0, "seconds": 0.0})
            pipe.recv()  # all have computed: the books are now the same for everybody
            pipe.send(memory.usage(path))
            pipe.recv()
    except (EOFError, BrokenPipeError):
        pass  # the parent is gone, and so is the reason to be here
