"""The all-MiniLM-L6-v2 sentence encoder in plain NumPy: token ids in, unit vectors of 384 numbers out.

It computes what the original library computes (six BERT layers, mean over the tokens, unit length) and only
reads its weights, so they may as well lie in memory that is shared and read-only. `weights` maps the names of
the model file to arrays.
"""

import numpy as np

HEADS = 12
EPS = 1e-12  # of the layer norms, as in the model's config.json

# erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.83, where 1 - erf is below half a step of float32. Minimax fit, relative
# error 1.3e-8; all coefficients are positive, so that evaluation in float32 loses next to nothing (3.3e-7 at most).
# NumPy has no erf, and the usual tanh formula for GELU is off by 3e-4.
ERF_END = 3.83
ERF_P = (2.12528967e-06, 0.000285983061, 0.00364971153, 0.0524097672, 0.187223521, 1.12837915)
ERF_Q = (3.89224763e-05, 0.00114116406, 0.0147364132, 0.11286766, 0.499255434, 1.0)


def erf(x):
    x = np.clip(x, -ERF_END, ERF_END)
    square = x * x
    p, q = np.full_like(x, ERF_P[0]), np.full_like(x, ERF_Q[0])
    for a, b in zip(ERF_P[1:], ERF_Q[1:]):
        p *= square
        p += a
        q *= square
        q += b
    p *= x
    p /= q
    return np.clip(p, -1, 1, out=p)


def gelu(x):
    """x times the probability that a normal variable is below x, in place; in pieces that fit the cache."""
    flat = x.reshape(-1)
    for piece in (flat[i : i + 8192] for i in range(0, flat.size, 8192)):
        piece *= 0.5 + 0.5 * erf(piece * np.float32(0.5**0.5))
    return x


class Encoder:
    def __init__(self, weights):
        self.weights = weights
        self.layers = sum(name.endswith("attention.self.query.weight") for name in weights)

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(-1, keepdims=True) + EPS)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def heads(self, name, x):
        return self.linear(name, x).reshape(*x.shape[:2], HEADS, -1).swapaxes(1, 2)

    def layer(self, name, x, mask):
        query, key, value = (self.heads(f"{name}.attention.self.{part}", x) for part in ("query", "key", "value"))
        scores = query @ key.swapaxes(2, 3) / np.float32(query.shape[-1] ** 0.5) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        x = x + self.linear(f"{name}.attention.output.dense", mixed.swapaxes(1, 2).reshape(x.shape))
        x = self.norm(f"{name}.attention.output.LayerNorm", x)
        inner = gelu(self.linear(f"{name}.intermediate.dense", x))
        return self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", inner))

    def __call__(self, batch):
        """Embed a list of token-id lists: an array of shape (len(batch), 384), float32."""
        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        real = np.zeros(ids.shape, np.float32)  # 1 for a token, 0 for padding
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)], real[row, : len(tokens)] = tokens, 1
        table = {key: self.weights[f"embeddings.{key}_embeddings.weight"] for key in ("word", "position", "token_type")}
        x = table["word"][ids] + table["position"][: ids.shape[1]] + table["token_type"][0]
        x = self.norm("embeddings.LayerNorm", x)
        mask = ((real - 1) * np.float32(1e9))[:, None, None, :]
        for number in range(self.layers):
            x = self.layer(f"encoder.layer.{number}", x, mask)
        mean = (x * real[:, :, None]).sum(1) / real.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def embed(self, token_lists, out=None, batch=16):
        """Embed any number of texts, those of like length together; row i of the result is text i."""
        out = np.empty((len(token_lists), 384), np.float32) if out is None else out
        order = sorted(range(len(token_lists)), key=lambda i: len(token_lists[i]))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            out[rows] = self([token_lists[i] for i in rows])
        return out
