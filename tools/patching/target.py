"""A file as hunks are looked for in it."""

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.patching.patch import Hunk
from tools.patching.telling import quoted

BLOCK_BYTES = 64 * 1024
"""How much of a file is counted at once on the way to a line."""


class Target(msgspec.Struct, frozen=True):
    """The path and the content of a file. Lines are counted from 1, offsets in bytes from 0."""

    path: str
    data: bytes

    def line_number(self, offset: int) -> int:
        """The number of the line at an offset."""
        return self.data.count(b"\n", 0, offset) + 1

    def line_at(self, offset: int) -> bytes | None:
        """The line that starts at an offset, with its end; None at the end of the file."""
        end = self.data.find(b"\n", offset) + 1 or len(self.data)
        return self.data[offset:end] if offset < len(self.data) else None

    def skip(self, lines: int, start: int = 0) -> int | None:
        """The offset that so many lines after `start` end at; None where there are not so many."""
        if not lines:
            return start
        left, offset = lines, start
        while offset < len(self.data):
            ends = self.data.count(b"\n", offset, offset + BLOCK_BYTES)
            if ends >= left:
                return self._after_newlines(left, offset)
            left -= ends
            offset += BLOCK_BYTES
        open_line = start < len(self.data) and not self.data.endswith(b"\n")
        return len(self.data) if open_line and left == 1 else None

    def _after_newlines(self, count: int, offset: int) -> int:
        for _ in range(count):
            offset = self.data.find(b"\n", offset) + 1
        return offset

    def fits(self, hunk: Hunk, offset: int) -> bool:
        """Whether the hunk's old lines are there, with whole lines before and after both them and the new ones."""
        old, new = hunk.old, hunk.new
        starts_line = offset == 0 or self.data[offset - 1 : offset] == b"\n"
        ends_file = offset + len(old) == len(self.data)
        ends_whole = ends_file or (_is_whole(old) and _is_whole(new))
        return starts_line and ends_whole and self.data.startswith(old, offset)

    def refusal(self, index: int, hunk: Hunk, sentence: str, code: ToolErrorCode = "conflict") -> ToolError:
        """The refusal of the hunk with that index, from 0, in the file's section."""
        where = f"{quoted(self.path.encode())}, hunk {index + 1} (patch line {hunk.number})"
        return ToolError(f"{where}: {sentence}", code=code)


def _is_whole(lines: bytes) -> bool:
    return not lines or lines.endswith(b"\n")
