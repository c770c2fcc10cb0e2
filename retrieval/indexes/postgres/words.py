"""The single words of a text, in the form in which PostgreSQL compares them."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

SEPARATORS: Final = re.compile(r"[\W_]+")
MAX_WORD_BYTES: Final = 2_000
"""Bytes of a word in a query. PostgreSQL indexes none of more than 2,046."""


def plain_words(text: str) -> str:
    """Return the words of a text with a space between them, in small letters and without diacritics."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return SEPARATORS.sub(" ", text).strip().lower()


def comparable(words: Sequence[str]) -> list[str]:
    """Return the words that a query may have, in their plain form. One may consist of several."""
    plain = [plain_words(word) for word in words]
    return [word for word in plain if word and len(word.encode()) <= MAX_WORD_BYTES]
