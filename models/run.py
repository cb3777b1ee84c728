#!/usr/bin/env python3
"""Check the models of the protocol with Spin.

    python3 models/run.py --quick        every model and every mutant at small sizes: minutes
    python3 models/run.py                the same and the large sizes: hours, up to --memory MB each
    python3 models/run.py pub send       only these models
    python3 models/run.py -k CFG=12      only rows whose text contains this

The rows are in runs.txt. Each row is one exhaustive search with an expected answer:

    holds   the search ends without an error
    fails   the search finds an error (a mutant: the protocol with one rule left out or broken)
    bound   too large to exhaust here: no error up to the bound of memory or time

A search that ends at a bound where `holds` was expected is `not ok`: a proof that was cut off is no proof.
Needs spin, a C compiler and a C preprocessor; without spin every row is a counted skip.
Python 3.8 or newer, standard library only.
"""
import argparse
import concurrent.futures
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TIERS = ("quick", "full")
EXPECTATIONS = ("holds", "fails", "bound")


class Row:
    """One line of runs.txt: which model, with which flags, and what must come out."""

    def __init__(self, number, line):
        text, _, self.note = line.partition("#")
        words = text.split()
        if len(words) < 3 or words[0] not in TIERS or words[1] not in EXPECTATIONS:
            raise SystemExit("runs.txt:%d: expected 'quick|full holds|fails|bound model flags...'" % number)
        self.tier, self.expected, self.model = words[:3]
        self.spin = [w for w in words[3:] if not w.startswith(("gcc:", "pan:"))]
        self.gcc = [w[4:] for w in words[3:] if w.startswith("gcc:")]
        self.pan = [w[4:] for w in words[3:] if w.startswith("pan:")]
        self.note = self.note.strip()
        self.name = " ".join([self.model] + words[3:])


class Answer:
    """What a search said. kind: holds, fails, bound or broken."""

    def __init__(self, kind, why="", states=0, seconds=0.0, memory=0.0):
        self.kind, self.why, self.states, self.seconds, self.memory = kind, why, states, seconds, memory


def read_rows(path):
    with open(path, encoding="utf-8") as table:
        return [Row(n, line) for n, line in enumerate(table, 1) if line.partition("#")[0].strip()]


def limits(megabytes):
    def apply():
        os.nice(5)
        size = (megabytes + 1024) << 20          # pan bounds itself by MEMLIM; this is the second line
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return apply


class Tools:
    """The programs that run now. Each has a process group of its own, with its children (a compiler has some), and none
    outlives us, however we are told to end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.groups = set()
        self.over = False

    def run(self, command, folder, timeout=None, preexec=None):
        """Its output, its exit status, and whether it was stopped after `timeout` seconds."""
        with self.lock:
            if self.over:
                raise RuntimeError("told to end")
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, universal_newlines=True, errors="replace",
                                       start_new_session=True, preexec_fn=preexec)
            self.groups.add(process.pid)
        late = False
        try:
            out = process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, signal.SIGKILL)
            out = process.communicate()[0]
        finally:
            with self.lock:
                self.groups.discard(process.pid)
        return out, process.returncode, late

    def end(self, number, _frame):
        with self.lock:
            self.over = True
            for group in self.groups:
                os.killpg(group, signal.SIGKILL)
        raise SystemExit(128 + number)


TOOLS = Tools()


def tool(command, folder, what):
    out, status, _ = TOOLS.run(command, folder)
    if status != 0:
        first = " | ".join(out.strip().splitlines()[:3])
        raise RuntimeError("%s failed: %s" % (what, first))


def search(row, folder, options):
    """Generate, compile and run the verifier of one row in its own folder."""
    quick = row.tier == "quick"
    tool(["spin"] + row.spin + ["-a", os.path.join(HERE, row.model + ".pml")], folder, "spin")
    safety = [] if "-DNP" in row.gcc or "-a" in row.pan else ["-DSAFETY"]
    tool([options.cc, "-O0" if quick else "-Og", "-w"] + safety +
         ["-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=%d" % options.memory] + row.gcc + ["-o", "pan", "pan.c"],
         folder, "cc")
    command = ["./pan", "-m%d" % (200000 if quick else 2000000), "-w%d" % (21 if quick else 26)] + row.pan
    started = time.monotonic()
    out, _, late = TOOLS.run(command, folder, options.time, limits(options.memory))
    return judge(out, "time" if late else "", time.monotonic() - started)


def judge(out, bound, seconds):
    def number(pattern):
        found = re.search(pattern, out)
        return float(found.group(1)) if found else 0.0
    states = int(number(r"([0-9.e+]+) states, stored") or number(r"States=\s*([0-9.e+]+)(?![\s\S]*States=)"))
    memory = number(r"([0-9.]+)\s+total actual memory usage")
    fault = re.search(r"^pan:1: (.*)$", out, re.M)
    if fault:
        return Answer("fails", re.sub(r" \(at depth.*", "", fault.group(1)), states, seconds, memory)
    for sign, what in (("max search depth too small", "depth"), ("out of memory", "memory"),
                       ("memory limit", "memory"), ("Search not completed", "search not completed")):
        if sign in out and not bound:
            bound = what
    if bound:
        return Answer("bound", "cut off by " + bound, states, seconds, memory)
    if re.search(r"errors: 0\b", out):
        return Answer("holds", "", states, seconds, memory)
    return Answer("broken", "no answer from the verifier: " + " ".join(out.split())[:200], states, seconds, memory)


def one(row, options):
    folder = tempfile.mkdtemp(prefix="model-", dir=options.work)
    try:
        try:
            answer = search(row, folder, options)
        except RuntimeError as error:
            answer = Answer("broken", str(error))
        good = answer.kind == row.expected or (row.expected == "bound" and answer.kind == "holds")
        if not good and answer.kind == "fails" and options.keep:
            with open(os.path.join(folder, "ROW"), "w", encoding="utf-8") as note:
                note.write(row.name + "\n")
            answer.why += "; trail: cd %s && spin %s -t -p %s.pml" % (folder, " ".join(row.spin), row.model)
            shutil.copy(os.path.join(HERE, row.model + ".pml"), folder)
            folder = None
        return row, answer, good
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def line(row, answer, good):
    size = "%s, %.1f s, %d MB" % (plural(answer.states), answer.seconds, answer.memory)
    text = "%s - %s: %s (%s)" % ("ok" if good else "not ok", row.name, answer.kind, size)
    if not good:
        text += "; expected: %s" % row.expected
    if answer.why and (not good or answer.kind == "bound"):
        text += "; " + answer.why
    return text


def plural(states):
    return "%d state%s" % (states, "" if states == 1 else "s")


def without_mutant(rows):
    """Models that no row with `fails` stands for: a model that nothing can break shows nothing."""
    return sorted({r.model for r in rows} - {r.model for r in rows if r.expected == "fails"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="names of models; all if none")
    parser.add_argument("--quick", action="store_true", help="only the rows that take seconds")
    parser.add_argument("--full-only", action="store_true", help="only the rows that --quick leaves out")
    parser.add_argument("-k", dest="text", default="", help="only rows whose text contains this")
    parser.add_argument("--memory", type=int, default=5500, metavar="MB", help="bound of one search (default 5500)")
    parser.add_argument("--time", type=int, default=0, metavar="S", help="bound of one search (default 120 quick, 1800 full)")
    parser.add_argument("--jobs", type=int, default=0, help="searches at once (default: 2 quick, 1 full)")
    parser.add_argument("--cc", default=os.environ.get("CC", "gcc"))
    parser.add_argument("--keep", action="store_true", help="keep the folder and the trail of an unexpected error")
    parser.add_argument("--work", default=None, help="folder for the verifiers (default: a temporary one)")
    parser.add_argument("--list", action="store_true", help="print the rows and run nothing")
    options = parser.parse_args()
    options.time = options.time or (120 if options.quick else 1800)
    options.jobs = options.jobs or (min(2, os.cpu_count() or 1) if options.quick else 1)
    options.cc = options.cc.split()[0]

    every = read_rows(os.path.join(HERE, "runs.txt"))
    bare = without_mutant(every)
    if bare:
        raise SystemExit("no mutant in runs.txt for: " + " ".join(bare))
    rows = [r for r in every if (not options.models or r.model in options.models) and options.text in r.name
            and not (options.quick and r.tier != "quick") and not (options.full_only and r.tier == "quick")]
    if options.list:
        for row in rows:
            print("%-5s %-5s %-70s %s" % (row.tier, row.expected, row.name, row.note))
        return 0
    lacking = [t for t in ("spin", options.cc) if not shutil.which(t)]
    if lacking:
        print("skip - %d searches: %s not found; install it (Debian: apt install spin gcc) to check the models"
              % (len(rows), " and ".join(lacking)))
        print("0 passed, 0 failed, %d skipped" % len(rows))
        return 0

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, TOOLS.end)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for row, answer, good in pool.map(lambda r: one(r, options), rows):
            print(line(row, answer, good), flush=True)
            passed, failed = passed + good, failed + (not good)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
