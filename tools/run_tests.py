#!/usr/bin/env python3
"""Runs the tests, C and Python, and adds them up. The last line is `N passed, N failed, N skipped`.

    tools/run_tests.py [--build build] [--jobs N] [--only c|python] [--suite NAME] [--python PYTHON] [WORD...]

Each C program and each Python test file is one job with a process group, a store directory and a time limit of its
own. A job fails when it says so, when it dies, when it is too slow, when it leaves a process or a store behind. WORDs
choose jobs whose name contains one of them. Logs are in BUILD/logs.
"""

import argparse
import concurrent.futures
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON_TIMEOUT = 600
SHOWN_LINES = 150
STRAY_PATIENCE = 5
LINE = re.compile(r"^(ok|not ok|skip)\s+(.*)$")


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Job:
    """A program with its own limits; what it became."""

    def __init__(self, name, command, timeout, beside_others=True):
        self.name = name
        self.command = command
        self.timeout = timeout
        self.beside_others = beside_others
        self.counts = Counts()
        self.troubles = []  # what the job itself did not count
        self.skips = []
        self.seconds = 0.0
        self.log = ""

    def count(self, status, text):
        """Adds up what the job printed; `status` is its return code."""
        for line in text.splitlines():
            match = LINE.match(line)
            if not match:
                continue
            word, rest = match.groups()
            if word == "ok":
                self.counts.passed += 1
            elif word == "not ok":
                self.counts.failed += 1
            else:
                self.counts.skipped += 1
                self.skips.append(rest)
        total = self.counts.passed + self.counts.failed + self.counts.skipped
        if status < 0:
            self.troubles.append(f"was ended by {signal_name(-status)}")
        elif status not in (0, 1, 77):
            self.troubles.append(f"exited with {status}")
        elif status == 1 and not self.counts.failed:
            self.troubles.append("exited with 1 and named no failed test")
        elif status == 0 and self.counts.failed:
            self.troubles.append("named a failed test and exited with 0")
        elif status == 77 and not total:
            self.counts.skipped += 1
            self.skips.append("it exited with 77 and gave no reason")
        elif status == 0 and not total:
            self.troubles.append("ran no test")


class PythonJob(Job):
    def __init__(self, name, command, timeout, report):
        super().__init__(name, [*command, f"--junitxml={report}"], timeout)
        self.report = report

    def count(self, status, text):
        try:
            cases = list(xml.parse(self.report).iter("testcase"))
        except (OSError, xml.ParseError):
            # It died on the way: what it had done is in its -v lines.
            for word in re.findall(r"^\S+::.* (PASSED|FAILED|ERROR|SKIPPED)\b", text, flags=re.M):
                if word == "PASSED":
                    self.counts.passed += 1
                elif word == "SKIPPED":
                    self.counts.skipped += 1
                else:
                    self.counts.failed += 1
            self.troubles.append(f"was ended by {signal_name(-status)}" if status < 0 else f"exited with {status}")
            return
        for case in cases:
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.counts.failed += 1
            elif skip is not None:
                self.counts.skipped += 1
                self.skips.append(f"{case.get('name')}: {skip.get('message', '')}")
            else:
                self.counts.passed += 1
        if status == 5 or (status == 0 and not cases):
            pass  # every test was deselected: nothing to say
        elif status < 0:
            self.troubles.append(f"was ended by {signal_name(-status)}")
        elif status != 0 and not self.counts.failed:
            self.troubles.append(f"pytest exited with {status}")


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# ---- finding ----


def c_jobs(meson, suite, wrapper, factor):
    """The programs that Meson built, from its own list."""
    path = os.path.join(meson, "meson-info", "intro-tests.json")
    if not os.path.exists(path):
        sys.exit(f"run_tests: {path} is not there; run make build first")
    with open(path, encoding="utf-8") as file:
        tests = json.load(file)
    for test in tests:
        room = test["suite"][0].split(":")[-1]
        if suite and room not in suite:
            continue
        yield Job(f"{room}/{test['name']}", wrapper + test["cmd"], test["timeout"] * factor, test["is_parallel"])


def python_jobs(python, paths, logs, more, factor):
    files = []
    for path in paths:
        if os.path.isfile(path):
            files.append(path)
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            files += [os.path.join(folder, name) for name in sorted(names) if re.match(r"test_.*\.py$", name)]
    for file in files:
        name = os.path.relpath(file, os.path.join(ROOT, "tests"))[: -len(".py")]
        report = os.path.join(logs, name.replace(os.sep, "-") + ".xml")
        command = [python, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no", *more, file]
        yield PythonJob(name, command, PYTHON_TIMEOUT * factor, report)


# ---- running ----


def group_members(group):
    """The living processes of a process group, in words. Zombies are nobody's fault."""
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            if fields[0] in "ZX" or int(fields[2]) != group:
                continue
            with open(f"/proc/{entry}/cmdline", encoding="utf-8", errors="replace") as file:
                members.append(f"{entry} ({fields[0]}) {file.read(200).replace(chr(0), ' ').strip()}")
        except OSError:
            continue
    return members


def stop(process):
    """SIGABRT first: Python then prints where each thread is."""
    for number, patience in ((signal.SIGABRT, 5), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def run(job, environment, logs):
    job.log = os.path.join(logs, job.name.replace(os.sep, "-") + ".log")
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    stores = tempfile.mkdtemp(prefix="zct-test-", dir=shared)
    temporary = tempfile.mkdtemp(prefix="zct-test-")
    # Tests switch to `nobody` to see what a stranger gets; a stranger must be able to get here.
    os.chmod(stores, 0o755)
    os.chmod(temporary, 0o755)
    environment = {**environment, "ZCT_DIR": stores, "TMPDIR": temporary}
    began = time.monotonic()
    late = False
    try:
        with open(job.log, "wb") as log:
            process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
            try:
                process.wait(job.timeout)
            except subprocess.TimeoutExpired:
                late = True
                stop(process)
            patience = time.monotonic() + STRAY_PATIENCE
            strays = group_members(process.pid)
            while strays and time.monotonic() < patience:
                time.sleep(0.05)
                strays = group_members(process.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        with open(job.log, encoding="utf-8", errors="replace") as log:
            text = log.read()
        if late:
            job.count(0, text)
            job.troubles = [f"was stopped after {job.timeout:.0f} s"]
        else:
            job.count(process.returncode, text)
            if strays:
                job.troubles.append("left processes behind: " + "; ".join(strays[:5]))
            left = sorted(os.listdir(stores))
            if left:
                job.troubles.append("left in the store directory: " + ", ".join(left[:5]))
    except OSError as error:
        job.troubles.append(f"could not be run: {error}")
    finally:
        shutil.rmtree(stores, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)
    job.counts.failed += len(job.troubles)
    job.seconds = time.monotonic() - began
    return job


def test_environment(build, python):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ZCT_")}
    binaries = os.path.dirname(os.path.abspath(python))
    environment["PATH"] = os.pathsep.join([binaries, environment.get("PATH", "/usr/bin:/bin")])
    environment["ZCT_BUILD"] = os.path.abspath(build)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # Two cores are shared by the tests; a BLAS that starts a thread per core only adds noise.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, "1")
    return environment


PRINTING = threading.Lock()


def tell(job, width):
    with PRINTING:
        word = "FAIL" if job.counts.failed else "pass" if job.counts.passed else "skip"
        skipped = f", {job.counts.skipped} skipped" if job.counts.skipped else ""
        failed = f", {job.counts.failed} failed" if job.counts.failed else ""
        print(f"{word}  {job.name:{width}}  {job.counts.passed:4} ok{failed}{skipped}  {job.seconds:.1f} s", flush=True)
        if job.counts.failed:
            for trouble in job.troubles:
                print(f"      {job.name} {trouble}")
            with contextlib.suppress(OSError):
                with open(job.log, encoding="utf-8", errors="replace") as log:
                    lines = log.read().splitlines()
                if len(lines) > SHOWN_LINES:
                    print(f"      | ... the first {len(lines) - SHOWN_LINES} lines are in {job.log}")
                for line in lines[-SHOWN_LINES:]:
                    print(f"      | {line}")
            sys.stdout.flush()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--meson", help="Meson's directory (default: BUILD/meson)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--only", choices=["c", "python"])
    parser.add_argument("--suite", action="append", help="a room of the C tests: unit, threads, ...")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--pytest-arg", action="append", default=[])
    parser.add_argument("--path", action="append", help="where Python tests are looked for (default: tests)")
    parser.add_argument("--wrapper", default="", help="runs each C program: 'valgrind -q', say")
    parser.add_argument("--slow", type=float, default=1, help="factor on all time limits")
    parser.add_argument("--logs", help="default: BUILD/logs")
    parser.add_argument("words", nargs="*")
    return parser.parse_args()


def main():
    options = arguments()
    logs = os.path.abspath(options.logs or os.path.join(options.build, "logs"))
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    jobs = []
    if options.only != "python":
        meson = options.meson or os.path.join(options.build, "meson")
        jobs += c_jobs(meson, options.suite, options.wrapper.split(), options.slow)
    if options.only != "c":
        paths = options.path or [os.path.join(ROOT, "tests")]
        jobs += python_jobs(options.python, paths, logs, options.pytest_arg, options.slow)
    if options.words:
        jobs = [job for job in jobs if any(word in job.name for word in options.words)]
    environment = test_environment(options.build, options.python)
    environment["ZCT_TEST_PATIENCE"] = str(max(1, math.ceil(options.slow)))  # of the watchdogs inside the tests
    width = max([len(job.name) for job in jobs], default=0)

    def one(job):
        tell(run(job, environment, logs), width)

    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        list(pool.map(one, [job for job in jobs if job.beside_others]))
    for job in jobs:
        if not job.beside_others:
            one(job)

    total = Counts()
    for job in jobs:
        total.add(job.counts)
    skips = [f"{job.name}: {reason}" for job in jobs for reason in job.skips]
    if skips:
        print("skipped:")
        for skip in skips:
            print(f"      {skip}")
    failed = [job.name for job in jobs if job.counts.failed]
    if failed:
        print("failed: " + ", ".join(failed))
    if not jobs:
        print("run_tests: there is no such test")
        total.failed += 1
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
