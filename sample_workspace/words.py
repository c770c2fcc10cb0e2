"""Counts of the words of a text."""

import re
from collections import Counter


def words(text: str) -> list[str]:
    """Return the words in lower case. An apostrophe belongs to its word."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def most_common(text: str, count: int = 3) -> list[tuple[str, int]]:
    """Return the most frequent words with their numbers."""
    return Counter(words(text)).most_common(count)
