"""The package: what it exports, documents and declares."""

import doctest
import importlib
import inspect
import os
import re

import numpy as np
import pytest

import zero_copy_tensor_ipc as zct
from zero_copy_tensor_ipc import _core

HERE = os.path.dirname(zct.__file__)


def public():
    return [name for name in zct.__all__ if name != "__version__"]


def test_version():
    assert re.match(r"\d+\.\d+\.\d+$", zct.__version__)


def test_typed():
    assert os.path.exists(os.path.join(HERE, "py.typed"))
    with open(os.path.join(HERE, "__init__.pyi")) as f:
        text = f.read()
    for name in zct.__all__:
        assert "%s as %s" % (name, name) in text


@pytest.mark.parametrize("name", public())
def test_everything_is_documented(name):
    thing = getattr(zct, name)
    assert thing.__doc__
    if inspect.isclass(thing) and not issubclass(thing, (Exception, tuple)):
        for attribute, value in vars(thing).items():
            if not attribute.startswith("_"):
                assert inspect.getdoc(value), attribute


@pytest.mark.parametrize(
    "function",
    ["create_shared_tensor", "attach_shared_tensor", "unlink_shared_tensor", "list_shared_tensors"]
    + ["empty", "zeros", "ones", "full", "empty_like"],
)
def test_signatures_hold(function):
    """Each keyword that the signature names is taken, in the stub's order."""
    f = getattr(zct, function)
    parameters = inspect.signature(f).parameters
    with open(os.path.join(HERE, "_core.pyi")) as stub:
        text = stub.read()
    body = re.search(r"^def %s\((.*?)\) ->" % function, text, re.S | re.M).group(1)
    stubbed = re.findall(r"(?:^|,)\s*(\w+)\s*:", re.sub(r"\[[^\]]*\]", "", body))
    assert list(parameters) == stubbed
    for name in parameters:
        with pytest.raises(Exception) as e:
            f(**{name: object()})
        assert "unexpected keyword" not in str(e.value)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {"module": zct}
    for name in public():
        found[name] = getattr(zct, name)
    names = {"np": np, "zct": zct, **{name: getattr(zct, name) for name in public()}}
    for name, thing in found.items():
        for test in finder.find(thing, name, module=False, globs=dict(names)):
            if test.examples:
                yield pytest.param(test, id=test.name)
    for name in ("", ".shared_memory", "._shareable_list", "._managers", ".sharedarray"):
        module = importlib.import_module("zero_copy_tensor_ipc.compat" + name)
        for test in finder.find(module, "compat" + name, globs={"np": np, **vars(module)}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_examples(test):
    output = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert result.failed == 0, "".join(output)


def test_there_are_examples():
    assert len(list(examples())) >= 12


def test_core_has_nothing_else_public():
    extra = {n for n in vars(_core) if not n.startswith("_")} - set(zct.__all__)
    assert extra == set()
