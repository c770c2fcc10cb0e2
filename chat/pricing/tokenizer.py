"""Counting tokens without asking anybody: by OpenAI's newest public vocabulary, which others are near to."""

from functools import cache
from typing import Any

from rs_bpe.bpe import openai


def count(text: str) -> int:
    """How many tokens a text has. The first call loads the vocabulary: 0.1 s and 65 MB."""
    encoding = _encoding()
    try:
        return int(encoding.count(text))
    except UnicodeEncodeError:
        return int(encoding.count(text.encode("utf-8", "replace").decode()))


@cache
def _encoding() -> Any:
    return openai.o200k_base()
