"""The block of reasoning with which some models begin their text: `<think>...</think>`."""

import re
from typing import Final

from chat.engine.transcript import decode_pieces

BLANK: Final = re.compile(rb"(?: |\\[nrt])*")
MAX_HELD_BYTES: Final = 1_024
"""Bytes of blanks before a text after which no block is expected."""

OPENINGS: Final = (b"<think>", b"<thinking>", b"<thought>")


class ThinkingBlock:
    """Takes the pieces of a text, and separates a block at its start from the rest.

    Pieces are parts of a JSON string literal. `size` is that of all pieces. `is_over` says that all further pieces are
    text.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._reasoning: list[bytes] = []
        self.size = 0
        self._closing: re.Pattern[bytes] | None = None
        self._closed = False
        self._held = b""

    def take(self, piece: bytes) -> bytes:
        """Return the text in this piece and in the text held back before it."""
        held = self._held + piece
        self.size += len(piece)
        self._held = b""
        if self._closed:
            return self._after(held)
        if self._closing is not None:
            return self._inside(held, self._closing)
        start = held[_match_end(held) :]
        opening = next((tag for tag in OPENINGS if start.startswith(tag)), None)
        if opening is not None:
            # A slash may be escaped in JSON.
            self._closing = re.compile(rb"<(?:\\)?/" + opening[1:])
            return self._inside(start[len(opening) :], self._closing)
        if len(held) < MAX_HELD_BYTES and any(tag.startswith(start) for tag in OPENINGS):
            self._held = held
            return b""
        self.is_over = True
        return held

    def reasoning(self) -> str:
        """Return the reasoning that was added since the last call."""
        found, self._reasoning = self._reasoning, []
        return decode_pieces(found)

    def end(self) -> bytes:
        """Return the text that is still held back. An unclosed block is reasoning."""
        held, self._held, self.is_over = self._held, b"", True
        if self._closing is None:
            return held
        if not self._closed:
            self._reasoning.append(held)
        return b""

    def _inside(self, held: bytes, tag: re.Pattern[bytes]) -> bytes:
        closing = tag.search(held)
        if closing is None:
            # The closing tag may be split between pieces.
            cut = held.rfind(b"<")
            cut = cut if cut >= 0 and len(held) - cut < len(b"<\\/thinking>") else len(held)
            self._reasoning.append(held[:cut])
            self._held = held[cut:]
            return b""
        self._reasoning.append(held[: closing.start()])
        self._closed = True
        return self._after(held[closing.end() :])

    def _after(self, held: bytes) -> bytes:
        text = held[_match_end(held) :]
        self.is_over = bool(text)
        return text


def _match_end(held: bytes) -> int:
    blank = BLANK.match(held)
    return blank.end() if blank else 0
