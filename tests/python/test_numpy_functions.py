"""Every callable of numpy.__all__, called with SharedTensors: what each gives is as docs/RESULTS.md says, and nothing claims
a name that it does not have. A callable that is neither called here nor listed with a reason fails: a new NumPy brings some."""

import io
import os
import re

import numpy as np
import pytest
from numpy_calls import CALLS, NOT_CALLED, OPERANDS

import zero_copy_tensor_ipc as zct

pytestmark = pytest.mark.filterwarnings("ignore")

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "RESULTS.md")


def public():
    return [name for name in sorted(np.__all__) if not name.startswith("_") and callable(getattr(np, name))]


def is_ufunc(name):
    return isinstance(getattr(np, name, None), np.ufunc)


def is_scalar_type(name):
    thing = getattr(np, name, None)
    return isinstance(thing, type) and issubclass(thing, np.generic)


def is_exception(name):
    thing = getattr(np, name, None)
    return isinstance(thing, type) and issubclass(thing, BaseException)


def calls():
    """name -> the calls of it"""
    found = {}
    for call in re.split(r"; |\n", CALLS):
        found.setdefault(re.match(r"\w+", call).group(), []).append(call)
    return found


CALLED = calls()


# ---- what a result is ---------------------------------------------------------------------------------------------------------


def arrays_in(thing, depth=0):
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, (tuple, list)) and depth < 4:
        for item in thing:
            yield from arrays_in(item, depth + 1)
    elif isinstance(thing, dict):
        for item in thing.values():
            yield from arrays_in(item, depth + 1)


def kind_of(array, operands):
    """plain, view or private; an array that claims what is not so fails."""
    if not isinstance(array, zct.SharedTensor):
        return "plain"
    sharing = [o for o in operands if array.size and np.shares_memory(array, o)]
    if array.is_shared:
        assert array.size == 0 or [o.name for o in sharing] == [array.name], "it claims the name %r" % array.name
        assert array.mode == "r+" and array.holders >= 1
        return "view"
    assert not sharing, "it lies in the store and denies it"
    assert array.name is None and array.generation is None and array.store is None and array.holders == 0
    return "private"


def kinds(result, operands):
    found = {kind_of(a, operands) for a in arrays_in(result)}
    return found or {"plain"}


@pytest.fixture(scope="module")
def operands(tmp_path_factory):
    with zct.Store("functions", directory=os.environ["ZCT_DIR"], capacity=16 << 20) as store:
        yield {name: store.create(name, data) for name, data in OPERANDS.items()}
    zct.Store.destroy("functions", directory=os.environ["ZCT_DIR"])


@pytest.fixture
def names(operands):
    for name, data in OPERANDS.items():
        operands[name][...] = data
    everything = {name: getattr(np, name) for name in np.__all__}
    return dict(everything, **operands, np=np, io=io, os=os, list=list)


def documented():
    """name -> the kinds that docs/RESULTS.md has for it"""
    with open(DOCUMENT) as f:
        functions = f.read().split("\n## Functions\n")[1]
    found = {}
    for kind, cell in re.findall(r"^\| (plain|view|private) \| (.*) \|$", functions, re.M):
        for name in re.findall(r"`(\w+)`", cell):
            found.setdefault(name, set()).add(kind)
    return found


# ---- the tests ----------------------------------------------------------------------------------------------------------------


def test_every_callable_is_called_or_listed():
    reasons = {name for names in NOT_CALLED.values() for name in names.split()}
    assert not reasons & set(CALLED)
    unknown = [n for n in public() if not (n in CALLED or n in reasons or is_ufunc(n) or is_scalar_type(n) or is_exception(n))]
    assert unknown == [], "call them in CALLS, with a row in docs/RESULTS.md, or list them in NOT_CALLED with a reason"


@pytest.mark.parametrize("name", [n for n in public() if n in CALLED])
def test_results(name, names, operands):
    expected, found = documented().get(name, {"plain"}), set()
    for call in CALLED[name]:
        now = kinds(eval(call, names), operands.values())
        assert now <= expected, call
        found |= now
    assert found == expected or name == "apply_along_axis"


def ufunc_arguments(f, operands):
    for kind in "tibdzmu":
        yield [operands[kind]] * f.nin
    yield [operands["t"], operands["i"]][: f.nin]
    yield [operands["z"], operands["n"]][: f.nin]


@pytest.mark.parametrize("name", [n for n in public() if is_ufunc(n)])
def test_ufuncs(name, names, operands):
    f, done = getattr(np, name), 0
    for arguments in ufunc_arguments(f, operands):
        try:
            result = f(*arguments)
        except (TypeError, ValueError):
            continue
        done += 1
        assert kinds(result, operands.values()) == {"plain"}
    if not done:
        pytest.skip("it takes none of these dtypes")
    methods = ["reduce", "accumulate", "outer"] if f.nin == 2 and f.nout == 1 and not f.signature else []
    for method in methods:
        for x in (operands["v"], operands["i"], operands["b"]):
            try:
                result = getattr(f, method)(*[x] * (2 if method == "outer" else 1))
            except (TypeError, ValueError):
                continue
            assert kinds(result, operands.values()) == {"plain"}, method


@pytest.mark.parametrize("name", [n for n in public() if is_scalar_type(n)])
def test_scalar_types(name, names, operands):
    for operand in operands.values():
        try:
            result = getattr(np, name)(operand)
        except (TypeError, ValueError):
            continue
        assert kinds(result, operands.values()) <= {"plain", "view", "private"}


def test_the_document_names_what_numpy_has():
    assert sorted(set(documented()) - set(CALLED)) == []
    assert len(documented()) > 60
