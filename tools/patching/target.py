"""A file in which hunks are searched."""

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.patching.messages import quoted
from tools.patching.patch import Hunk

BLOCK_BYTES = 64 * 1024
"""Bytes of a file that are counted at once on the way to a line."""


class Target(msgspec.Struct, frozen=True):
    """The path and the content of a file. Lines are counted from 1, offsets in bytes from 0."""

    path: str
    data: bytes

    def line_number(self, offset: int) -> int:
        """Return the number of the line at an offset."""
        return self.data.count(b"\n", 0, offset) + 1

    def line_at(self, offset: int) -> bytes | None:
        """Return the line that starts at an offset, with its line end; None at the end of the file."""
        end = self.data.find(b"\n", offset) + 1 or len(self.data)
        return self.data[offset:end] if offset < len(self.data) else None

    def skip(self, lines: int, start: int = 0) -> int | None:
        """Return the offset after a number of lines from `start`; None if the file has fewer."""
        if not lines:
            return start
        # Counting whole blocks is far faster than finding each line end.
        left, offset = lines, start
        while offset < len(self.data):
            ends = self.data.count(b"\n", offset, offset + BLOCK_BYTES)
            if ends >= left:
                for _ in range(left):
                    offset = self.data.find(b"\n", offset) + 1
                return offset
            left -= ends
            offset += BLOCK_BYTES
        open_line = start < len(self.data) and not self.data.endswith(b"\n")
        return len(self.data) if open_line and left == 1 else None

    def fits(self, hunk: Hunk, offset: int) -> bool:
        """Return whether the hunk's old lines are at an offset, and only whole lines are replaced."""
        old, new = hunk.old, hunk.new
        starts_line = offset == 0 or self.data[offset - 1 : offset] == b"\n"
        ends_file = offset + len(old) == len(self.data)
        ends_whole = ends_file or (_is_whole(old) and _is_whole(new))
        return starts_line and ends_whole and self.data.startswith(old, offset)

    def refusal(self, index: int, hunk: Hunk, sentence: str, code: ToolErrorCode = "conflict") -> ToolError:
        """Return the error for a hunk. `index` is its place in the file's section, from 0."""
        where = f"{quoted(self.path.encode())}, hunk {index + 1} (patch line {hunk.number})"
        return ToolError(f"{where}: {sentence}", code=code)


def _is_whole(lines: bytes) -> bool:
    return not lines or lines.endswith(b"\n")
