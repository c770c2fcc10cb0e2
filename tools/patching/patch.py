"""What a patch says, whichever format it was written in.

The unified format is that of POSIX's diff ("Diff -u or -U Output Format"), with git's extended headers ("Generating
patch text with -p"). The envelope format is the one that starts with `*** Begin Patch`.

POSIX: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/diff.html
Git: https://git-scm.com/docs/diff-format and https://git-scm.com/docs/git-apply
"""

from typing import Literal

import msgspec

Sign = Literal[" ", "-", "+"]
SIGNS: dict[bytes, Sign] = {b" ": " ", b"": " ", b"-": "-", b"+": "+"}
"""By a line's first byte; some programs write an empty context line without its space."""

Action = Literal["add", "delete", "update", "move", "copy"]
Format = Literal["unified", "envelope"]


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a hunk: `text` with its end, if it has one; `number` is its own in the patch, from 1."""

    sign: Sign
    text: bytes
    number: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a unified header says a hunk is: how many lines of the old and of the new file come before it."""

    old: int
    new: int


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """Lines to find in one place, and what to put there.

    `position` is for the unified format; `anchors` (lines somewhere before) and `at_end` are for the envelope.
    """

    number: int
    """The patch line that it begins at."""
    lines: tuple[Line, ...]
    position: Position | None = None
    anchors: tuple[bytes, ...] = ()
    at_end: bool = False

    @property
    def old_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.sign != "+")

    @property
    def old(self) -> bytes:
        """What it wants to find."""
        return b"".join(line.text for line in self.lines if line.sign != "+")

    @property
    def new(self) -> bytes:
        """What it puts there."""
        return b"".join(line.text for line in self.lines if line.sign != "-")

    def count(self, sign: Sign) -> int:
        """The number of lines with that sign."""
        return sum(line.sign == sign for line in self.lines)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one file. `source` is where a moved or copied one comes from."""

    number: int
    """The patch line that it begins at."""
    format: Format
    action: Action
    path: str
    source: str | None = None
    executable: bool | None = None
    hunks: tuple[Hunk, ...] = ()


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of a patch, in its order: at least one."""

    sections: tuple[Section, ...]
