"""The line ends of a file, for a patch that does not tell them.

A patch whose lines end with plain LF says nothing of a file whose lines all end with CRLF: that is read as if they
ended with LF, and keeps its own ends. So does, in the envelope format, a file whose last line has no newline.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

from tools.patching.patch import Hunk


class LineEnds(msgspec.Struct, frozen=True):
    """Whether all of a file's lines end with CRLF, and whether its last line has no newline."""

    crlf: bool
    open: bool

    @classmethod
    def of(cls, data: bytes, hunks: Iterable[Hunk]) -> Self:
        """Those of a file, as far as the hunks leave them to it: a CR at the end of a line tells them."""
        told = any(line.text.endswith(b"\r\n") for hunk in hunks for line in hunk.lines)
        crlf = data.count(b"\r\n")
        return cls(not told and 0 < crlf == data.count(b"\n"), bool(data) and not data.endswith(b"\n"))

    def hidden(self, data: bytes) -> bytes:
        """The file with LF at the end of every line."""
        return (data.replace(b"\r\n", b"\n") if self.crlf else data) + (b"\n" if self.open else b"")

    def restored(self, data: bytes) -> bytes:
        """What came of it, with the file's own ends."""
        kept = data.removesuffix(b"\n") if self.open else data
        return kept.replace(b"\n", b"\r\n") if self.crlf else kept
