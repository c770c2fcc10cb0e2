"""The line ends of a file, for a patch that does not contain them.

A patch with plain LF also fits a file with CRLF in every line. The file is read as if it had LF, and keeps its own line
ends. In the envelope format, a file without a newline at its end keeps that too.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

from tools.patching.patch import Hunk


class LineEnds(msgspec.Struct, frozen=True):
    """The line ends of a file: `crlf` if all lines end with CRLF, `open` if the last line has no newline."""

    crlf: bool
    open: bool

    @classmethod
    def of(cls, data: bytes, hunks: Iterable[Hunk]) -> Self:
        """Return the line ends of a file, if the hunks do not contain them."""
        # A hunk with CRLF is meant as it is.
        has_crlf = any(line.text.endswith(b"\r\n") for hunk in hunks for line in hunk.lines)
        crlf = data.count(b"\r\n")
        return cls(not has_crlf and 0 < crlf == data.count(b"\n"), bool(data) and not data.endswith(b"\n"))

    def hidden(self, data: bytes) -> bytes:
        """Return the file with LF at the end of every line."""
        return (data.replace(b"\r\n", b"\n") if self.crlf else data) + (b"\n" if self.open else b"")

    def restored(self, data: bytes) -> bytes:
        """Return the changed file with its own line ends."""
        kept = data.removesuffix(b"\n") if self.open else data
        return kept.replace(b"\n", b"\r\n") if self.crlf else kept
