"""Every store to shared memory is a declared crash point: none goes past src/base/shared.h, whose stores all are.

What lies in shared memory has the one-field types sh8 to sh64, so the compiler refuses a plain store. What it cannot see
is looked for here: the field reached for by name, builtins, bytes copied over a record, system calls without a STEP.
"""

import glob
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = "src/base/shared.h"
PAUSES = "src/base/util.h"  # spin_pause is an instruction
CONTENTS = "src/base/payload.h"  # recovery never looks at what is in a tensor
OWN_MAPPINGS = ("os_map_shared(",)  # unmaps what it has just mapped, and nobody saw

# Ways to the control part of a store: what they lead to is changed by shared.h's operations alone.
CONTROL = re.compile(
    r"control\b|\bREGION\(|\b(slot|desc|row|tickets|index|aux)_(at|of|word|words)\(|\bs->words\b|\b(d|desc|slot|head|row|ticket|cell)(->|\[)"
)
KINDS = r"sh(8|16|32|64)|struct (words|slot|desc|ticket|aux_head|read_line)"
COPIERS = re.compile(r"\b(?:__builtin_)?(memcpy|memmove|memset|strcpy|strncpy|snprintf|bzero|get_words|os_read_at)\s*\(")
# A call that others see the effect of, and that must have a STEP in the same function.
SEEN_BY_OTHERS = re.compile(
    r"\b(linkat|unlink|unlinkat|rename|renameat2|SYS_renameat2|ftruncate|fallocate|pwrite|munmap|FUTEX_WAKE|F_OFD_SETLK|F_SETLK)\b"
)


def strip(code):
    """The code without comments and literals, line by line as it was."""

    def blank(match):
        text = match.group(0)
        return '""' if text[0] == '"' else "' '" if text[0] == "'" else re.sub(r"[^\n]", " ", text)

    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'", blank, code, flags=re.S)


def first_argument(code, at):
    depth, start = 0, at
    while at < len(code):
        c = code[at]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif c == "," and depth == 0:
            break
        at += 1
    return code[start:at].strip()


def functions(code):
    """(head, body, where) of each function, by the house's layout: braces in the first column, or all on one line."""
    for match in re.finditer(r"^([A-Za-z_][^;={}]*\))\s*\n\{\n(.*?)^\}", code, flags=re.S | re.M):
        yield match.group(1), match.group(2), match.start()
    for match in re.finditer(r"^([A-Za-z_][^;={}\n]*\)) \{ (.*) \}$", code, flags=re.M):
        yield match.group(1), match.group(2), match.start()


def line_of(code, at):
    return code.count("\n", 0, at) + 1


def in_source(path, text):
    """Complaints about one file of src/."""
    code = strip(text)
    if path == SHARED:
        yield from in_shared(code)
        return
    words = r"\b_Atomic\b|\b(__)?atomic_\w+|\b__sync_\w+|\bvolatile\b|\b__?asm(__)?\b"
    for match in re.finditer(words, code) if path not in (PAUSES, CONTENTS) else ():
        yield f"{path}:{line_of(code, match.start())}: {match.group(0)} outside {SHARED}"
    for match in re.finditer(r"(?:\.|->)\s*v\b(?!\w)", code):
        yield f"{path}:{line_of(code, match.start())}: the word inside a shared field is touched without an operation"
    for match in COPIERS.finditer(code):
        to = first_argument(code, match.end())
        if CONTROL.search(to):
            yield f"{path}:{line_of(code, match.start())}: {match.group(1)} into control memory ({to})"
    for match in re.finditer(r"\bREGION\(", code):
        kind = [part.strip() for part in code[match.end() : code.index(")", match.end())].split(",")][1]
        if path != "src/segment/store.h" and not re.fullmatch(KINDS, kind):
            yield f"{path}:{line_of(code, match.start())}: control memory as {kind}"
    if path != "src/segment/birth.c" and not path.startswith("src/platform/"):
        for match in re.finditer(r"\bos_write_at\((?![^;]*payload_offset)", code):
            yield f"{path}:{line_of(code, match.start())}: a store's file is written past its mapping"
    if path.startswith("src/platform/") and path.endswith(".c"):
        for head, body, at in functions(code):
            call = SEEN_BY_OTHERS.search(body)
            if any(name in head for name in OWN_MAPPINGS) or "private" in head:
                continue
            if call and "STEP(" not in body and not head.startswith("static"):
                yield f"{path}:{line_of(code, at)}: {call.group(0)} without a STEP"


def in_shared(code):
    """Each operation of shared.h that stores is a crash point."""
    for match in re.finditer(r"^#define (\w+)\(.*?(?:\n(?!.*\\$)|\Z)|^static inline (?:.*\n)*?^\}", code, flags=re.M):
        text = match.group(0)
        text = text if text.startswith("static") else code[match.start() : end_of_macro(code, match.start())]
        name = re.match(r"#define (\w+)|static inline \w+ \*?(\w+)", text)
        name = name.group(1) or name.group(2)
        if re.search(r"atomic_(store|fetch|exchange|compare)", text) and not re.search(r"\bSTEP\(|\bSH_RMW\(", text):
            if not name.startswith("pv_"):
                yield f"{SHARED}:{line_of(code, match.start())}: {name} stores and is no crash point"


def end_of_macro(code, at):
    while True:
        end = code.find("\n", at)
        if end < 0 or code[end - 1] != "\\":
            return len(code) if end < 0 else end
        at = end + 1


def in_format(text):
    """Every field of every struct of format.h but the header's has a shared type."""
    code = strip(text)
    structs = re.findall(r"^struct (\w+) \{(.*?)^\};", code, flags=re.S | re.M)
    known = {f"struct {name}" for name, _ in structs} - {"struct header"}
    for name, body in structs:
        if name == "header":
            continue
        for field in body.split(";"):
            kind = re.match(r"((?:struct )?\w+)\s", " ".join(field.split()) + " ")
            if kind and not re.fullmatch(r"sh(8|16|32|64)", kind.group(1)) and kind.group(1) not in known:
                yield f"struct {name} has a field of type {kind.group(1)}"
    if not structs:
        yield "no struct found"


def sources():
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "*", "*.[ch]"))):
        with open(path, encoding="utf-8") as file:
            yield os.path.relpath(path, ROOT), file.read()


def test_every_store_is_declared():
    assert [complaint for path, text in sources() for complaint in in_source(path, text)] == []


def test_every_shared_field_has_a_shared_type():
    with open(os.path.join(ROOT, "src/segment/format.h"), encoding="utf-8") as file:
        assert list(in_format(file.read())) == []


@pytest.mark.parametrize(
    "code",
    [
        "void f(struct desc *d) { d->hint.v = 0; }",
        "void f(sh64 *w) { w->v |= 1; }",
        "void f(sh64 *w) { __atomic_store_n((uint64_t *)w, 1, 0); }",
        "void f(sh64 *w) { atomic_fetch_add(w, 1); }",
        "void f(sh64 *w) { *(volatile uint64_t *)w = 1; }",
        "void f(struct desc *d, char *n) { memcpy(d->name, n, 8); }",
        "void f(struct zct_store *s) { memset(s->control + 64, 0, 8); }",
        "void f(struct zct_store *s) { memset(REGION(s, sh64, s->g.used), 0, 8); }",
        "void f(struct zct_store *s) { memset(desc_at(s, 1), 0, 8); }",
        "void f(struct zct_store *s) { *REGION(s, uint64_t, s->g.used) = 0; }",
        "void f(int fd) { os_write_at(fd, &x, 8, 0); }",
    ],
)
def test_a_store_that_is_not_declared_is_found(code):
    assert len(list(in_source("src/tensor/a.c", code))) >= 1


@pytest.mark.parametrize(
    "code",
    [
        "/* d->hint.v = 0 */ void f(struct desc *d) { put_relaxed(&d->hint, 0); }",
        "void f(zct_view *v) { v->ndim = 1; }",
        "void f(uint64_t *to, struct desc *d) { get_words(to, d->name, 8); }",
        "void f(struct zct_store *s, void *to) { memcpy(to, s->uuid, 16); }",
        "void f(struct zct_store *s) { memset(payload_at(s, 0), 0, 16); }",
    ],
)
def test_what_is_declared_passes(code):
    assert list(in_source("src/tensor/a.c", code)) == []


@pytest.mark.parametrize(
    "code",
    [
        "int os_unlink(const char *path)\n{\n    return unlink(path);\n}\n",
        "int os_truncate(int fd, uint64_t n)\n{\n    int rc = ftruncate(fd, n);\n    return rc;\n}\n",
    ],
)
def test_a_system_call_without_a_step_is_found(code):
    assert len(list(in_source("src/platform/a.c", code))) == 1


def test_an_operation_without_a_step_is_found():
    code = "#define put_x(p, x) atomic_store_explicit(&(p)->v, (x), memory_order_relaxed)\n"
    assert len(list(in_source(SHARED, code))) == 1
    code = "static inline void zero(sh64 *w)\n{\n    atomic_store_explicit(&w->v, 0, memory_order_relaxed);\n}\n"
    assert len(list(in_source(SHARED, code))) == 1


def test_a_plain_field_is_found():
    assert len(list(in_format("struct desc {\n    sh64 st;\n    uint64_t plain;\n};\n"))) == 1
    assert len(list(in_format("struct desc {\n    sh64 st;\n    int *plain;\n};\n"))) == 1
