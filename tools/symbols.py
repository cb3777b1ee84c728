#!/usr/bin/env python3
"""The exported functions: one list in three places (zct.h, src/zct.map, libzct.so), held together here.

    tools/symbols.py check [LIBRARY]   the header, the map and (where given) the library say the same
    tools/symbols.py missing           prints the functions that the header has and the map lacks

The map has one node per release. A new function goes into the newest, still unreleased node; a released node
never changes.
"""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(ROOT, "include", "zct", "zct.h")
MAP = os.path.join(ROOT, "src", "zct.map")


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def header_functions(path=HEADER):
    """The names declared with ZCT_API."""
    with open(path, encoding="utf-8") as file:
        text = without_comments(file.read())
    return set(re.findall(r"^ZCT_API\b[^;(]*?\b(zct_\w+)\s*\(", text, flags=re.M))


def map_functions(path=MAP):
    """The names under `global:` of every node; a list with one entry per mention."""
    with open(path, encoding="utf-8") as file:
        text = without_comments(file.read())
    names = []
    for body in re.findall(r"\{(.*?)\}", text, flags=re.S):
        public = re.search(r"global:(.*?)(?:local:|$)", body, flags=re.S)
        if public:
            names += [name.strip() for name in public.group(1).split(";") if name.strip()]
    return names


def library_symbols(library):
    """What `nm` says that the library defines for others, with the names of the version nodes left out."""
    nm = shutil.which("nm")
    if not nm:
        raise FileNotFoundError("nm is not installed (Debian: binutils)")
    out = subprocess.run([nm, "-D", "--defined-only", library], check=True, stdout=subprocess.PIPE).stdout.decode()
    names = set()
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":
            names.add(name.split("@")[0])
    return names


def differences(library=None):
    """One sentence per difference; empty when all is well."""
    header = header_functions()
    mapped = map_functions()
    found = []
    if not header:
        found.append("no ZCT_API function found in include/zct/zct.h")
    for name in sorted({n for n in mapped if mapped.count(n) > 1}):
        found.append(f"{name} stands in src/zct.map more than once")
    for name in sorted(header - set(mapped)):
        found.append(f"{name} is declared in zct.h and missing in src/zct.map")
    for name in sorted(set(mapped) - header):
        found.append(f"{name} is in src/zct.map and not declared in zct.h")
    if library:
        exported = library_symbols(library)
        for name in sorted(header - exported):
            found.append(f"{name} is declared in zct.h and not defined in {os.path.basename(library)}")
        for name in sorted(exported - header):
            found.append(f"{name} is exported by {os.path.basename(library)} and not declared in zct.h")
    return found


def main(arguments):
    if arguments[:1] == ["check"] and len(arguments) <= 2:
        found = differences(*arguments[1:])
        for sentence in found:
            print(sentence)
        return 1 if found else 0
    if arguments == ["missing"]:
        for name in sorted(header_functions() - set(map_functions())):
            print(f"        {name};")
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
