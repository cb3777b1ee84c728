"""The demo's encoder against mathematics, and against the original library's embeddings."""

import hashlib
import importlib.util
import math
import pathlib
import sys

import numpy as np
import pytest

DEMO = pathlib.Path(__file__).parents[2] / "examples" / "demo"
sys.path.insert(0, str(DEMO))

import encoder  # noqa: E402
import tokens  # noqa: E402
import weights  # noqa: E402


def test_erf_is_exact_to_float32():
    x = np.concatenate([np.linspace(-6, 6, 20001), np.geomspace(1e-30, 1, 1000), [-1e30, 1e30]]).astype(np.float32)
    exact = np.array([math.erf(v) for v in x.tolist()])
    y = encoder.erf(x)
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < 4e-7
    assert np.abs(y).max() <= 1


def test_gelu_is_the_exact_one():
    x = np.linspace(-8, 8, 20001).astype(np.float32)
    exact = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    assert np.abs(encoder.gelu(x.copy()) - exact).max() < 2e-6  # tanh-GELU: 3e-4


@pytest.fixture(scope="module")
def model():
    folder = tokens.model_folder()
    if folder is None or importlib.util.find_spec("tokenizers") is None:
        pytest.skip("the demo's model is not installed (make demo installs it)")
    return folder


def test_embeddings_are_the_original_librarys(model):
    reference = np.load(DEMO / "reference.npz")
    file = model / "model.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == str(reference["model_sha256"])
    assert int(reference["max_tokens"]) == tokens.MAX_TOKENS
    encode = encoder.Encoder(weights.read(file)[0])
    ids = tokens.encode(tokens.load(model), reference["texts"].tolist())
    assert len(ids) == 8 and max(map(len, ids)) == 256 and min(map(len, ids)) == 2
    # All in one batch, so that padding takes part: it must not show.
    assert np.abs(encode(ids) - reference["embeddings"]).max() < 1e-5
    assert np.abs(encode.embed(ids, batch=3) - reference["embeddings"]).max() < 1e-5
