#!/usr/bin/env python3
"""Builds and runs the benchmarks and prints the table of figures.

    bench/run.py [--quick] [--only WORD]... [--write] [--samples FILE]

`make bench` runs it with the package and the library built; `make bench BENCH=--quick` takes a minute with small
sizes, which says little about the large ones. --write puts the table into docs/BENCH.md and, between its markers
`<!-- bench:begin -->` and `<!-- bench:end -->`, into README.md. Exit status: 0 if everything ran, reached or not;
1 if a benchmark failed. All that is made in /dev/shm begins with one token and is removed at the end, also after
a failure or Ctrl-C.
"""

import argparse
import contextlib
import glob
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile

import figures

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SHM = "/dev/shm"
C_BENCHES = ["attach", "create", "copy", "beside", "publish", "names", "memory", "command", "lock"]
PYTHON_BENCHES = ["py_attach", "py_cold", "py_publish", "py_arrays", "py_queue", "py_files"]
TIMEOUT = 900


def find_library():
    build = os.environ.get("ZCT_BUILD", f"{ROOT}/build")
    for folder in (f"{build}/lib", f"{build}/meson"):
        if os.path.exists(f"{folder}/libzct.so"):
            return folder
    sys.exit("bench: libzct.so is not built: run make build")


def find_command():
    build = os.environ.get("ZCT_BUILD", f"{ROOT}/build")
    for path in (f"{build}/bin/zct", f"{build}/meson/cli/zct"):
        if os.path.exists(path):
            return path
    sys.exit("bench: the command is not built: run make build")


def compile_benches(names, out):
    library = find_library()
    for name in names:
        command = [
            os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", f"-I{ROOT}/include",
            f"{HERE}/{name}.c", f"{HERE}/support.c", "-o", f"{out}/{name}",
            f"-L{library}", f"-Wl,-rpath,{library}", "-lzct", "-lrt",
        ]  # fmt: skip
        subprocess.run(command, check=True)


def choose_large(quick):
    """Bytes of a large tensor: 1 GiB where /dev/shm and memory have room for the four that are alive at once."""
    want = 64 << 20 if quick else 1 << 30
    with open("/proc/meminfo") as file:
        available = int(re.search(r"MemAvailable:\s+(\d+) kB", file.read()).group(1)) * 1024
    room = min(shutil.disk_usage(SHM).free, available) // 5
    while want > room and want > 1 << 20:
        want //= 2
    return want


def run_one(command, env):
    """The records that a benchmark prints. It gets a process group, which ends with it."""
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"ended with {process.returncode}")
    return [json.loads(line) for line in output.splitlines()]


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+) kB", file.read()).group(1)) / (1 << 20)
    thp = "?"
    with contextlib.suppress(OSError), open("/sys/kernel/mm/transparent_hugepage/shmem_enabled") as file:
        thp = re.search(r"\[(\w+)\]", file.read()).group(1)
    numpy = subprocess.run([sys.executable, "-c", "import numpy; print(numpy.__version__)"], capture_output=True, text=True)
    return (
        f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} CPUs, {memory:.0f} GiB, "
        f"Linux {platform.release()}, huge pages of shmem: {thp}; Python {platform.python_version()}, "
        f"NumPy {numpy.stdout.strip() or 'none'}; load average at the start {os.getloadavg()[0]:.1f}"
    )


def table(rows):
    lines = [["what", "ours", "baseline in the same run", "ratio", "to reach", "reached"]]
    lines += [row.cells() for row in rows]
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])


def report(records, notes, failures, large, about, complete):
    rows = []
    for figure in figures.all_figures(large):
        try:
            rows.append(figure.row(records, large))
        except KeyError:
            if complete:
                failures.append(f"not measured: {getattr(figure, 'what', type(figure).__name__)}")
    missed = [row for row in rows if row.reached is False]
    parts = [table(rows), ""]
    if missed:
        parts += ["Not reached:", "", *(f"- {row.what}: {row.ratio}, to reach {row.goal}" for row in missed), ""]
    else:
        parts += ["Every figure that has something to reach reached it.", ""]
    parts += [f"{about}.", *(f"Note: {note}." for note in notes), *(f"Failed: {failure}." for failure in failures)]
    return "\n".join(parts)


EXPLANATION = """
Times are medians over many rounds; in each round both sides are measured, in turns that one goes first; the bracket
after a ratio has the middle half of the rounds' own ratios. "Best of five" takes the fastest of each side. Payloads are
read or written on both sides as the row says, and large results are compared with their source. Made by `make bench`,
whose programs are in `bench/`; each says at its head what exactly it times.
"""


def write_documents(text):
    with open(f"{ROOT}/docs/BENCH.md", "w") as file:
        file.write(f"# Figures\n{EXPLANATION}\n{text}\n")
    readme = f"{ROOT}/README.md"
    if not os.path.exists(readme):
        return
    with open(readme) as file:
        old = file.read()
    new = re.sub(r"(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", lambda m: m[1] + text + "\n" + m[2], old, flags=re.DOTALL)
    if new != old:
        with open(readme, "w") as file:
            file.write(new)


def clean(token):
    for path in glob.glob(f"{SHM}/{token}*"):
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


def measure(arguments, names, token, large, out):
    env = {key: value for key, value in os.environ.items() if not key.startswith("ZCT_")}
    env.update(
        ZCT_BENCH_COMMAND=find_command(), ZCT_BENCH_TOKEN=token, ZCT_BENCH_LARGE=str(large), ZCT_DIR=f"{SHM}/{token}.stores"
    )
    if arguments.quick:
        env["ZCT_BENCH_QUICK"] = "1"
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        env[variable] = "1"
    records, notes, failures = {}, [], []
    for name in names:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        shutil.rmtree(env["ZCT_DIR"], ignore_errors=True)
        os.mkdir(env["ZCT_DIR"])
        command = [f"{out}/{name}"] if name in C_BENCHES else [sys.executable, f"{HERE}/{name}.py"]
        try:
            for record in run_one(command, env):
                if "note" in record:
                    notes.append(record["note"])
                else:
                    records[record["id"]] = record
        except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
    return records, notes, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("ZCT_BENCH_QUICK")))
    parser.add_argument("--only", action="append", metavar="WORD", help="benchmarks whose name has this in it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/BENCH.md and README.md")
    parser.add_argument("--samples", metavar="FILE", help="keep every measured value, as JSON")
    arguments = parser.parse_args()
    names = [name for name in C_BENCHES + PYTHON_BENCHES if not arguments.only or any(w in name for w in arguments.only)]
    if arguments.write and (arguments.only or arguments.quick):
        parser.error("--write goes with a whole run alone")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    token = f"zct-bench-{os.getpid()}-{secrets.token_hex(3)}"
    large = choose_large(arguments.quick)
    about = machine()
    try:
        with tempfile.TemporaryDirectory(prefix="zct-bench-") as out:
            compile_benches([name for name in names if name in C_BENCHES], out)
            records, notes, failures = measure(arguments, names, token, large, out)
    finally:
        clean(token)
    if large != 1 << 30:
        notes.append(f"large tensors were {figures.size(large)}, not 1 GiB")
    text = report(records, notes, failures, large, about, complete=not arguments.only)
    print(text)
    if arguments.samples:
        with open(arguments.samples, "w") as file:
            json.dump({"machine": about, "records": list(records.values()), "notes": notes}, file)
    if arguments.write and not failures:
        write_documents(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
