"""Texts in pieces that are spoken one after the other: by sentences, and where one is too long by clauses and words."""

import re
from collections.abc import Iterator
from typing import Final

SENTENCE_END: Final = re.compile(r"(?<=[.!?…。！？])[\"”’)\]]*\s+|\s*\n\s*\n\s*|(?<=[。！？])")  # noqa: RUF001 - full stops of Chinese and Japanese
CLAUSE_END: Final = re.compile(r"(?<=[,;:—–，、；])\s*")  # noqa: RUF001 - and their commas
SPACE: Final = re.compile(r"\s+")


def split_sentences(text: str, most: int) -> Iterator[str]:
    """The sentences of a text, none of them longer than `most` characters."""
    for sentence in SENTENCE_END.split(text):
        told = SPACE.sub(" ", sentence).strip()
        if len(told) <= most:
            yield from filter(None, (told,))
        else:
            yield from _joined(_short_parts(told, most), most)


def split_text(text: str, most: int) -> tuple[str, ...]:
    """The text in as few pieces of at most `most` characters as sentences allow; unchanged where it is one."""
    return (text,) if len(text) <= most else tuple(_joined(split_sentences(text, most), most))


def _short_parts(sentence: str, most: int) -> Iterator[str]:
    for clause in CLAUSE_END.split(sentence):
        if len(clause) <= most:
            yield clause
            continue
        for word in clause.split(" "):
            yield from (word[start : start + most] for start in range(0, len(word), most))


def _joined(parts: Iterator[str], most: int) -> Iterator[str]:
    """The parts with spaces between them, as many together as fit."""
    held = ""
    for part in parts:
        if held and len(held) + 1 + len(part) > most:
            yield held
            held = part
        else:
            held = f"{held} {part}" if held else part
    if held:
        yield held
