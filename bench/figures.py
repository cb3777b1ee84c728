"""The figures: what each compares, how the two sides become one ratio, and what is to be reached.

A ``Figure`` takes the records that the benchmarks print (by id) and gives a row of the table. Ratios are always of
times measured in the same run.
"""

import statistics


def duration(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 999.5 else f"{ns / size:.0f} {unit}"
    return f"{ns:.3g} ns" if ns < 999.5 else f"{ns:.0f} ns"


def size(nbytes):
    for unit, unit_size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= unit_size:
            return f"{nbytes / unit_size:.3g} {unit}"
    return f"{nbytes} B"


class Row:
    """One line of the table. ``reached`` is None where there is nothing to reach."""

    def __init__(self, what, ours, baseline, ratio, goal, reached):
        self.what, self.ours, self.baseline = what, ours, baseline
        self.ratio, self.goal, self.reached = ratio, goal, reached

    def cells(self):
        verdict = {True: "yes", False: "**no**", None: ""}[self.reached]
        return [self.what, self.ours, self.baseline, self.ratio, self.goal, verdict]


def spread(ratios):
    """The middle half of the paired ratios."""
    if len(ratios) < 4:
        return ""
    low, _, high = statistics.quantiles(ratios, n=4)
    return f" ({low:.3g} to {high:.3g})"


class Faster:
    """Baseline time over our time, at least ``goal``. Medians, or the best of each side."""

    def __init__(self, record, what, baseline, goal, best=False, bandwidth=False, judged=True):
        self.record, self.what, self.baseline = record, what, baseline
        self.goal, self.best, self.bandwidth, self.judged = goal, best, bandwidth, judged

    def row(self, records, large):
        ours, base = records[self.record]["ours"], records[self.record]["base"]
        pick = min if self.best else statistics.median
        ratio = pick(base) / pick(ours)
        show = (lambda ns: f"{duration(ns)}, {large / ns:.2f} GB/s") if self.bandwidth else duration
        text = f"{ratio:.3g}x" + ("" if self.best else spread([b / o for o, b in zip(ours, base)]))
        goal = f"at least {self.goal}x" if self.judged else f"reported (with the read pass; {self.goal}x without)"
        reached = ratio >= self.goal if self.judged else None
        return Row(self.what, show(pick(ours)), f"{self.baseline}: {show(pick(base))}", text, goal, reached)


class AtMost:
    """Our time over the baseline's, at most ``goal`` (None: reported); ``limit_ns``: our median as well."""

    def __init__(self, record, what, baseline, goal, limit_ns=None):
        self.record, self.what, self.baseline, self.goal, self.limit_ns = record, what, baseline, goal, limit_ns

    def row(self, records, large):
        ours, base = records[self.record]["ours"], records[self.record]["base"]
        mine, other = statistics.median(ours), statistics.median(base)
        limits = [f"{self.goal}x"] * (self.goal is not None) + [duration(self.limit_ns or 0)] * (self.limit_ns is not None)
        goal = f"at most {' and '.join(limits)}" if limits else "reported"
        reached = (self.goal is None or mine / other <= self.goal) and (self.limit_ns is None or mine <= self.limit_ns)
        reached = reached if limits else None
        text = f"{mine / other:.3g}x" + spread([o / b for o, b in zip(ours, base)])
        return Row(self.what, duration(mine), f"{self.baseline}: {duration(other)}", text, goal, reached)


class Names:
    """Hot names in stores of three sizes."""

    def row(self, records, large):
        ids = ("names-hot-small", "names-hot-middle", "names-hot-many")
        medians = [statistics.median(records[name]["values"]) for name in ids]
        counts = [f"{int(count):,}" for count in records["names-counts"]["values"]]
        ratio = max(medians) / min(medians)
        shown = ", ".join(f"{count}: {duration(ns)}" for count, ns in zip(counts, medians))
        return Row(
            "C: attach + release of 10 hot names, by names in the store",
            shown,
            "each other",
            f"{ratio:.3g}x",
            "within 1.5x",
            ratio <= 1.5,
        )


class RandomNames:
    def row(self, records, large):
        count = f"{int(records['names-counts']['values'][-1]):,}"
        ns = statistics.median(records["names-random"]["values"])
        misses = records.get("names-random-misses")
        if misses is None:
            ratio, reached = "cache misses not counted here", None
        else:
            ratio, reached = f"{misses['values'][0]:.2g} cache misses each", misses["values"][0] <= 5
        return Row(
            f"C: attach + release of random names, {count} names in the store",
            duration(ns),
            "",
            ratio,
            "at most 5 cache misses",
            reached,
        )


class Beside:
    """Latencies of a small create alone and beside a large one, in microseconds."""

    def __init__(self, alone, beside, what):
        self.alone, self.beside, self.what = alone, beside, what

    def row(self, records, large):
        def show(values):
            ordered = sorted(values)
            at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)]
            return "median {}, 99 % {}, most {}".format(*(duration(us * 1e3) for us in [*at, ordered[-1]]))

        alone, beside = records[self.alone]["values"], records[self.beside]["values"]
        goal = "no wait over 5 ms"
        if not beside:
            return Row(self.what, "no create met a large one", "", "", goal, False)
        ratio = f"{statistics.median(beside) / statistics.median(alone):.3g}x in the median"
        what = f"{self.what} ({len(beside):,} creates)"
        return Row(what, show(beside), "alone: " + show(alone), ratio, goal, max(beside) <= 5000)


class Memory:
    def row(self, records, large):
        model, payload, total, private = records["memory"]["values"]
        ratio = payload / model
        return Row(
            f"Memory of 4 workers that read all of one {size(model)} model: PSS of the payload's mappings",
            f"{size(payload)}; processes in all {size(total)}",
            f"4 workers with private copies in all: {size(private)}",
            f"{ratio:.3g} of the model",
            "at most 1.05",
            ratio <= 1.05,
        )


class CommandList:
    """`zct ls` of very many tensors: time and private memory."""

    def row(self, records, large):
        count = int(records["command-count"]["values"][0])
        ns = statistics.median(records["command-list"]["values"])
        private = records["command-private"]["values"][0]
        return Row(
            f"Command: zct ls of {count:,} tensors, held by another process",
            f"{duration(ns)}, {size(private)} private",
            "",
            f"{ns / count:.3g} ns a tensor",
            "at most 2 s and 64 MB",
            ns <= 2e9 and private <= 64e6,
        )


class CommandStart:
    def row(self, records, large):
        ours, base = (statistics.median(records["command-start"][side]) for side in ("ours", "base"))
        return Row(
            "Command: zct ls of an empty store, start to end",
            duration(ours),
            f"true: {duration(base)}",
            f"{ours / base:.3g}x",
            "under 5 ms",
            ours < 5e6,
        )


def all_figures(large):
    big = size(large)
    return [
        Faster(
            "python-attach-stdlib",
            "Python: attach by name, usable array, drop; held by another process",
            "SharedMemory + np.ndarray + close, no tracker",
            35,
        ),
        AtMost("python-attach-empty", "Python: attach by name, usable array, drop, beside NumPy's own", "np.empty(16)", 1.5),
        Faster(
            "python-attach-read",
            "Python: attach by name, read one element, drop",
            "SharedMemory + np.ndarray + read + close",
            35,
        ),
        Faster(
            "attach-held",
            "C: attach + read + release, held by this process",
            "shm_open + mmap + read + munmap + close",
            150,
        ),
        Faster(
            "attach-not-held",
            "C: attach + read + release, held by another process alone",
            "shm_open + mmap + read + munmap + close",
            150,
        ),
        Faster(
            "create-touch",
            "C: create + touch + unlink of 4 KiB",
            "shm_open, ftruncate, mmap, touch, munmap, unlink",
            10,
        ),
        Faster("create-copy", "C: create from 4 KiB + unlink", "the same steps, with 4 KiB copied in", 10),
        Faster(
            "create-large-warm",
            f"C: create from {big}, extent faulted in by this process",
            "memcpy into a touched shared mapping",
            0.9,
            bandwidth=True,
        ),
        Faster(
            "create-large-resident",
            f"C: create from {big}, extent resident, written by another process",
            "pwrite into resident pages",
            0.9,
            bandwidth=True,
        ),
        Faster(
            "create-large-cold",
            f"Python: create from {big}, cold; best of five",
            "standard library, create + copy",
            2.2,
            best=True,
            bandwidth=True,
        ),
        Faster(
            "create-large-cold-read",
            f"Python: create from {big}, cold, and one pass reading it; best of five",
            "standard library, create + copy + the pass",
            2.2,
            best=True,
            bandwidth=True,
            judged=False,
        ),
        Beside("small-alone", "small-beside-large", f"C: 4 KiB create, unlinked again, while another process creates {big} cold"),
        Beside(
            "small-cold-alone",
            "small-cold-beside-large",
            f"C: 4 KiB create in memory that nobody had, while another process creates {big} cold",
        ),
        AtMost("publish", f"C: publish of {big}, no copy", "publish of 1 KiB", 1.5, limit_ns=5000),
        AtMost("python-publish", f"Python: the name for a zct.empty array of {big}", "of 1 KiB", 1.5, limit_ns=10000),
        AtMost("python-array-view-small", "Python: t.array[...], 16 elements", "of a plain ndarray", 1.02),
        AtMost("python-array-view-large", "Python: t.array[...], 1 MiB", "of a plain ndarray", 1.02),
        AtMost("python-array-add-small", "Python: t.array + 1, 16 elements", "of a plain ndarray", 1.02),
        AtMost("python-array-add-large", "Python: t.array + 1, 1 MiB", "of a plain ndarray", 1.02),
        AtMost("python-tensor-view-small", "Python: t[...], 16 elements", "of a plain ndarray", None),
        AtMost("python-tensor-view-large", "Python: t[...], 1 MiB", "of a plain ndarray", None),
        AtMost("python-tensor-add-small", "Python: t + 1, 16 elements", "of a plain ndarray", None),
        AtMost("python-tensor-add-large", "Python: t + 1, 1 MiB", "of a plain ndarray", 1.05),
        AtMost("python-allocator", "Python: np.empty(1 MiB) + drop inside numpy_allocator()", "outside it", 1.5),
        AtMost("python-queue", "Python: a tensor through multiprocessing.Queue, by reference", "100 bytes", 2),
        AtMost("python-queue-part", "Python: a strided part of one, the same way", "100 bytes", None),
        AtMost("python-import", "Python: import zero_copy_tensor_ipc, after NumPy", "import numpy", None, limit_ns=5_000_000),
        AtMost("lock-read", "C: read lock + release of a tensor, nobody else there", "pthread_rwlock, process-shared", 1),
        AtMost("lock-write", "C: write lock + release, one holder", "pthread_rwlock, process-shared", 1.2),
        AtMost("lock-read-beside", "C: read lock + release while another process reads all the time", "the same alone", 1.5),
        Faster("snapshot", "C: snapshot of 1 MiB into a given buffer", "memcpy", 0.9),
        Names(),
        RandomNames(),
        Memory(),
        CommandList(),
        CommandStart(),
        Faster("command-load", "Command: zct load of a model of 90.9 MB, from the page cache", "cp into /dev/shm", 0.8),
        Faster("command-save", "Command: zct save of the same to a file in /dev/shm", "cp within /dev/shm", 0.8),
    ]
