#!/usr/bin/env python3
"""Who may include whom. Prints one line per violation, exits 1 if there is any.

    tools/layers.py [ROOT]

Rules (ARCHITECTURE.md has the reasons):
  1. A file in src/ includes base, its own folder, and folders with a smaller number, as "folder/file.h".
  2. System headers appear in src/platform alone. Headers that ask nothing of the system are free everywhere.
  3. Memory orders and atomic operations are named in src/base alone.
  4. cli, python, bench and examples see <zct/zct.h>, their own files, and nothing of src.
  5. Every folder of src is in the table below.
"""

import os
import re
import sys

LAYERS = {
    "base": -1,
    "platform": 0,
    "sync": 1,
    "segment": 2,
    "pool": 3,
    "catalog": 4,
    "tensor": 5,
    "channel": 6,
    "api": 7,
}
FREE_HEADERS = {
    "stddef.h",
    "stdint.h",
    "inttypes.h",
    "stdbool.h",
    "stdatomic.h",
    "stdarg.h",
    "stdalign.h",
    "limits.h",
    "float.h",
    "errno.h",
    "string.h",
    "stdio.h",  # snprintf
    "stdlib.h",
    "zct/zct.h",
}
CLIENTS = ("cli", "python", "bench", "examples")

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
ATOMIC = re.compile(r"\b(__atomic_\w+|__sync_\w+|memory_order_\w+|atomic_\w+\s*\()")


def blank(match):
    """Comments and strings become spaces, lines stay lines."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    return re.sub(r"//[^\n]*", blank, text)


def c_files(folder):
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(path, name)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_core_file(name, folder, code):
    for match in INCLUDE.finditer(code):
        quote, target = match.groups()
        where = f"{name}:{line_of(code, match.start(1))}"
        if quote == "<":
            if folder != "platform" and target not in FREE_HEADERS:
                yield f"{where}: <{target}> is a system header; only src/platform may include it"
            continue
        if "/" not in target:
            yield f'{where}: "{target}" must be written with its folder, "{folder}/{target}"'
            continue
        other = target.split("/")[0]
        if other not in LAYERS:
            yield f'{where}: "{target}" is in no layer'
        elif other not in ("base", folder) and LAYERS[other] >= LAYERS[folder]:
            yield f'{where}: {folder} (layer {LAYERS[folder]}) may not include "{target}" (layer {LAYERS[other]})'
    if folder != "base":
        bare = re.sub(r'"(?:[^"\\\n]|\\.)*"', blank, code)
        for match in ATOMIC.finditer(bare):
            word = match.group(1).rstrip("( ")
            yield f"{name}:{line_of(bare, match.start())}: {word} may be named in src/base alone; use base/shared.h"


def check_client_file(root, path, name, code):
    for match in INCLUDE.finditer(code):
        quote, target = match.groups()
        where = f"{name}:{line_of(code, match.start(1))}"
        beside = os.path.normpath(os.path.join(os.path.dirname(path), target))
        into_src = quote == '"' and beside.startswith(os.path.join(root, "src") + os.sep)
        if into_src or (target.split("/")[0] in LAYERS and not os.path.exists(beside)):
            yield f'{where}: "{target}" is internal; {name.split(os.sep)[0]} may include <zct/zct.h> alone'
        elif target.endswith("zct.h") and (quote, target) != ("<", "zct/zct.h"):
            yield f"{where}: the public header is written <zct/zct.h>"


def violations(root):
    src = os.path.join(root, "src")
    for path in c_files(src):
        name = os.path.relpath(path, root)
        folder = name.split(os.sep)[1]
        if folder not in LAYERS:
            yield f"{name}: src/{folder} is not a layer; the table is in tools/layers.py"
            continue
        with open(path, encoding="utf-8") as file:
            yield from check_core_file(name, folder, code_of(file.read()))
    for client in CLIENTS:
        for path in c_files(os.path.join(root, client)):
            with open(path, encoding="utf-8") as file:
                yield from check_client_file(root, path, os.path.relpath(path, root), code_of(file.read()))


def main(arguments):
    root = arguments[0] if arguments else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = list(violations(root))
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
