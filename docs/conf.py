"""The site of `make docs`: this repository's own Markdown where it lies, and references made from the header and the
installed package's docstrings. Sphinx is run with the repository as the source folder."""

import os
import re

project = "zero-copy-tensor-ipc"
author = "the zero-copy-tensor-ipc maintainers"
root_doc = "README"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
include_patterns = ["*.md", "docs/*.md", "docs/reference/*.md", "models/README.md", "examples/README.md"]
exclude_patterns = ["build", ".venv"]
html_theme = "furo"
html_title = project
myst_heading_anchors = 3
# The examples of the README and of the docstrings are run by the tests, which want them as they are.
highlight_language = "python"
suppress_warnings = ["misc.highlighting_failure"]
autodoc_member_order = "bysource"
autodoc_docstring_signature = True
linkcheck_anchors = False

_here = os.path.dirname(os.path.abspath(__file__))
_root = os.path.dirname(_here)

_MENU = """

```{toctree}
:hidden:
:caption: Using it

docs/COMING_FROM
docs/CHOOSING
docs/SENDING
docs/RESULTS
docs/CLI
examples/README
SECURITY
CHANGELOG
```

```{toctree}
:hidden:
:caption: Reference

docs/reference/python
docs/reference/c
docs/FORMAT
```

```{toctree}
:hidden:
:caption: How it works

ARCHITECTURE
docs/CONCURRENCY
docs/RECOVERY
models/README
docs/BENCH
CONTRIBUTING
```
"""

_SECTION = re.compile(r"^/\* ---- (.+?) -+ \*/$")
_FUNCTION = re.compile(r"\b(zct_\w+)\(")


def _sections(lines):
    """(title, lines) of each part of the header."""
    title, body = None, []
    for line in lines:
        found = _SECTION.match(line)
        if found:
            if title:
                yield title, body
            title, body = found.group(1), []
        else:
            body.append(line)
    if title:
        yield title, body


def _paragraphs(body):
    """What stands between blank lines: a declaration with the comment that is its contract."""
    paragraph = []
    for line in body + [""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []


def _split(paragraph):
    """(text, code): the leading comment as prose, the rest as it stands."""
    if not paragraph[0].startswith("/*"):
        return "", paragraph
    for end, line in enumerate(paragraph):
        if "*/" in line:
            if not line.rstrip().endswith("*/"):
                return "", paragraph
            text = "\n".join(paragraph[: end + 1])
            text = re.sub(r"^/\*|\*/$", "", text.strip())
            return re.sub(r"(?m)^ \* ?", "", text).strip(), paragraph[end + 1 :]
    return "", paragraph


def _prose(text):
    """A comment as Markdown: nothing in it is markup but blank and indented lines."""
    lines = [line if line.startswith("    ") else re.sub(r"([\\*_`<>\[\]|#~$])", r"\\\1", line) for line in text.split("\n")]
    return "\n".join(lines)


def header_markdown(path):
    """zct.h as a page: a chapter a section, a heading for each group of functions."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    out = []
    for title, body in _sections(lines):
        out.append("## %s\n" % title.capitalize())
        for paragraph in _paragraphs(body):
            if paragraph[0].startswith(("#ifdef", "#endif", "#if ", "}")):
                continue
            text, code = _split(paragraph)
            names = _FUNCTION.findall("\n".join(line for line in code if "ZCT_API" in line))
            if names:
                out.append("### %s\n" % ", ".join("`%s`" % name for name in names))
            if text:
                out.append(_prose(text) + "\n")
            if code:
                out.append("```c\n%s\n```\n" % "\n".join(code))
    return "\n".join(out)


def _source_read(app, docname, source):
    if docname == root_doc:
        source[0] += _MENU
    if docname == "docs/reference/c":
        source[0] += "\n" + header_markdown(os.path.join(_root, "include", "zct", "zct.h"))


def setup(app):
    app.connect("source-read", _source_read)
    return {"parallel_read_safe": True}
