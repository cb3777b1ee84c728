"""The main job: one copy of a real model's weights, four worker processes that compute with it.

    python examples/demo/run.py                            all-MiniLM-L6-v2, checked against its original library
    python examples/demo/run.py --model file.safetensors   a model of yours: shared, attached, checksummed

The weights go from the file into a store of their own, once. Each worker attaches to them by name, embeds its
part of the sentences and writes the vectors into a shared result. Nothing is pickled but reports.
"""

import os

# One thread per worker, before anybody imports NumPy: four workers that each start one thread per core fight
# for the cores (48 s instead of 3 s on two cores).
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse  # noqa: E402
import collections  # noqa: E402
import contextlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import pathlib  # noqa: E402
import secrets  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import memory  # noqa: E402
import numpy as np  # noqa: E402
import tokens  # noqa: E402
import weights  # noqa: E402
import worker  # noqa: E402
import zero_copy_tensor_ipc as zct  # noqa: E402
from encoder import Encoder  # noqa: E402

HERE = pathlib.Path(__file__).parent
PREFIX = "demo-"
TOLERANCE = 1e-5
QUERIES = [
    "How do I bake bread?",
    "several programs using the same memory",
    "an animal that was loyal to its owner",
    "Will it be foggy or stormy?",
]
INSTALL = "pip install --no-deps --only-binary :all: --require-hashes -r examples/demo/requirements.txt"


def say(text=""):
    print(text, flush=True)


def size(count):
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def remove_leftovers():
    """A demo that was killed leaves its store. One that nobody but us is a member of is a leftover."""
    for name, _path in zct.Store.list_stores():
        if name.startswith(PREFIX):
            with contextlib.suppress(FileNotFoundError):
                with zct.Store(name) as store:
                    abandoned = store.stats().members <= 1
                if abandoned:
                    zct.Store.destroy(name)
                    say(f"removed the store of a demo that was killed: {name}")


@contextlib.contextmanager
def own_store():
    """A store of our own, gone afterwards however the demo ends (SIGKILL excepted: see remove_leftovers)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    name = PREFIX + secrets.token_hex(3)
    try:
        with zct.Store(name) as store:
            yield store
    finally:
        with contextlib.suppress(FileNotFoundError):
            zct.Store.destroy(name)


@contextlib.contextmanager
def workers(count, *arguments):
    """Start `count` workers, each with a pipe. A pipe that ends is a worker that died; for a worker, a parent."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for part in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=worker.work, args=(theirs, *arguments, part, count), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        yield pipes
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.terminate()


def everybody(pipes):
    """The next report of each worker; then all may go on."""
    try:
        reports = [pipe.recv() for pipe in pipes]
        for pipe in pipes:
            pipe.send("go on")
        return reports
    except (EOFError, ConnectionError):
        raise RuntimeError("a worker process died") from None


def table(rows):
    """Print rows of strings as columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        say("  " + row[0].ljust(widths[0]) + "".join("   " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:])))


def report(reports, loader, model_bytes, load_seconds):
    """The table: what each process took to attach, what it costs, how fast it was."""
    many = len(reports[0]["sums"])
    head = ["process", "pid", "join", f"attach {many}", "again, each", "payload", "control", "private", "sentences"]
    rows = [[*head, "per second"]]
    parts = "payload", "control", "private"
    rows.append(["loader", str(os.getpid()), "", "", "", *(size(loader[part]) for part in parts), "", ""])
    for number, r in enumerate(reports, 1):
        times = f"{r['join'] * 1e3:.2f} ms", f"{r['attach'] * 1e6:.0f} us", f"{r['again'] / many * 1e9:.0f} ns"
        speed = (str(r["texts"]), f"{r['texts'] / r['seconds']:.1f}") if r["texts"] else ("", "")
        rows.append([f"worker {number}", str(r["pid"]), *times, *(size(r[part]) for part in parts), *speed])
    total = {part: loader[part] + sum(r[part] for r in reports) for part in parts}
    texts = str(sum(r["texts"] for r in reports) or "")
    rows.append(["sum", "", "", "", "", *(size(total[part]) for part in parts), texts, ""])
    table(rows if texts else [row[:-2] for row in rows])
    say("  (payload and control: this process's share of the store, PSS; private: Python, its libraries, activations)")
    say()
    copies = len(reports)
    say(f"the model, in all processes together: {size(total['payload'])}, {total['payload'] / model_bytes:.3f} times its size")
    say(f"{copies} private copies would be {size(copies * model_bytes)}, each loaded in some {load_seconds * 1e3:.0f} ms")


def search(plain, tokenizer, sentences, vectors):
    say()
    say("search (nearest of the shared vectors, by cosine):")
    for query, vector in zip(QUERIES, Encoder(plain).embed(tokens.encode(tokenizer, QUERIES))):
        scores = vectors @ vector
        say(f"  {query}")
        for row in np.argsort(-scores)[:2]:
            say(f"    {scores[row]:.2f}  {sentences[row]}")


def check_reference(reference, vectors):
    """Compare with what the original library computed. Returns whether it holds."""
    error = float(np.abs(vectors - reference["embeddings"]).max())
    versions = json.loads(str(reference["versions"]))
    say()
    say(
        f"against the original library (sentence-transformers {versions['sentence-transformers']}, torch "
        f"{versions['torch']}): {len(vectors)} texts, largest error {error:.1e}, allowed {TOLERANCE:.0e}: "
        + ("good" if error <= TOLERANCE else "WRONG")
    )
    return error <= TOLERANCE


def share(path, sentences, reference, count):
    """Load, start the workers, gather, check. Returns the store's file and whether all checks held."""
    texts = sentences + (reference["texts"].tolist() if reference else [])
    with own_store() as store:
        start = time.perf_counter()
        shared, raw = weights.load(path, store)
        load_seconds = time.perf_counter() - start
        model_bytes = sum(array.nbytes for array in shared.values())
        speed = model_bytes / load_seconds / 1e9
        say(f"loaded {len(shared)} tensors, {size(model_bytes)}, in {load_seconds * 1e3:.0f} ms ({speed:.1f} GB/s)")
        for kind, many in collections.Counter(raw.values()).items():
            stand_in = np.dtype(weights.RAW.get(kind, "u1")).name
            say(f"NumPy has no {kind}: tensors shared as raw {stand_in} instead, bit for bit: {many}")
        if texts:
            result = zct.empty((len(texts), 384), np.float32, store=store)
            result = store.create("demo/result", result)  # the array gets a name; nothing is copied
        file = store.path
        say(f"store {store.name}: {file}")
        with workers(count, store.name, file, list(shared), texts) as pipes:
            say(f"starting {count} workers ...")
            say()
            reports = everybody(pipes)
            for step in range(2):  # computed; then, with everything mapped everywhere, measured
                for r, more in zip(reports, everybody(pipes)):
                    r.update(more)
                if step == 0:
                    loader = memory.usage(file)
        report(reports, loader, model_bytes, load_seconds)
        original, _ = weights.read(path)
        sums = {name: worker.checksum(array) for name, array in original.items()}
        whole = all(r["sums"] == sums for r in reports)
        say(f"every byte as in the file, in every worker: {'yes' if whole else 'NO'}")
        if reference:
            tokenizer = tokens.load(tokens.model_folder())
            plain = {name: np.asarray(array) for name, array in shared.items()}
            search(plain, tokenizer, sentences, result[: len(sentences)])
            whole &= check_reference(reference, result[len(sentences) :])
        else:
            say("no reference exists for this file: nothing was computed with it")
    return file, whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, help="a .safetensors file of yours (no reference, no sentences)")
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    path, sentences, reference = options.model, [], None
    if path is None:
        folder = tokens.model_folder()
        if folder is None or importlib.util.find_spec("tokenizers") is None:
            sys.exit(f"The demo's model is not installed. Run `make demo`, or:\n  {INSTALL}")
        path = folder / "model.safetensors"
        sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines()
        reference = np.load(HERE / "reference.npz")
    try:
        remove_leftovers()
        file, whole = share(path, sentences, reference, max(1, options.workers))
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError, RuntimeError) as error:  # the library's errors say what to do
        sys.exit(f"demo: {error}")
    gone = not os.path.exists(file)
    say()
    say(f"left behind: {'nothing, ' + file + ' is gone' if gone else file}")
    sys.exit(0 if whole and gone else 1)


if __name__ == "__main__":
    main()
