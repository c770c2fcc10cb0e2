"""The split of a text into pieces: by sentences, and long sentences by clauses and words."""

import re
from collections.abc import Iterator
from typing import Final

# White space is collapsed first, so that no pattern has to look through a long run of it more than once.
SENTENCE_END: Final = re.compile(r"(?<=[.!?…。！？])[\"”’)\]]{0,8}[ \n]|\n|(?<=[。！？])")  # noqa: RUF001 - full stops of Chinese and Japanese
CLAUSE_END: Final = re.compile(r"(?<=[,;:—–，、；]) ?")  # noqa: RUF001 - and their commas
SPACE: Final = re.compile(r"\s+")


def split_sentences(text: str, limit: int) -> Iterator[str]:
    """Yield the sentences of a text, none of them longer than `limit` characters."""
    # An empty line ends a sentence too, and is the only line break that is left.
    collapsed = SPACE.sub(lambda found: "\n" if found[0].count("\n") > 1 else " ", text)
    for sentence in SENTENCE_END.split(collapsed):
        cleaned = sentence.strip()
        if len(cleaned) <= limit:
            yield from filter(None, (cleaned,))
        else:
            yield from _joined(_short_parts(cleaned, limit), limit)


def split_text(text: str, limit: int) -> tuple[str, ...]:
    """Return a text in as few pieces of at most `limit` characters as its sentences allow."""
    return (text,) if len(text) <= limit else tuple(_joined(split_sentences(text, limit), limit))


def _short_parts(sentence: str, limit: int) -> Iterator[str]:
    for clause in CLAUSE_END.split(sentence):
        if len(clause) <= limit:
            yield clause
            continue
        for word in clause.split(" "):
            yield from (word[start : start + limit] for start in range(0, len(word), limit))


def _joined(parts: Iterator[str], limit: int) -> Iterator[str]:
    """Yield the parts joined by spaces, as many together as fit."""
    held = ""
    for part in parts:
        if held and len(held) + 1 + len(part) > limit:
            yield held
            held = part
        else:
            held = f"{held} {part}" if held else part
    if held:
        yield held
