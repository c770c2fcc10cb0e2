"""A parsed patch, in either format.

The unified format is that of POSIX's diff ("Diff -u or -U Output Format"), with git's extended headers ("Generating
patch text with -p"). The envelope format is the one that starts with `*** Begin Patch`.

POSIX: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/diff.html
Git: https://git-scm.com/docs/diff-format and https://git-scm.com/docs/git-apply
"""

from typing import Literal

import msgspec

Sign = Literal[" ", "-", "+"]
# Some programs write an empty context line without its space.
SIGNS: dict[bytes, Sign] = {b" ": " ", b"": " ", b"-": "-", b"+": "+"}

Action = Literal["add", "delete", "update", "move", "copy"]
Format = Literal["unified", "envelope"]


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a hunk: its `text` with the line end, if there is one, and its `number` in the patch, from 1."""

    sign: Sign
    text: bytes
    number: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a hunk by its header: the numbers of lines before it in the old and in the new file."""

    old: int
    new: int


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """Lines to find in one place, and the lines to put there.

    `position` is of the unified format, and `headings` are the words after it. `anchors` (lines somewhere before) and
    `at_end` are of the envelope format; a unified header without numbers also has anchors. A `numbered` hunk has a
    header with numbers.
    """

    number: int
    """The first line of the hunk in the patch."""
    lines: tuple[Line, ...]
    position: Position | None = None
    anchors: tuple[bytes, ...] = ()
    at_end: bool = False
    numbered: bool = False
    headings: tuple[bytes, ...] = ()

    @property
    def old_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.sign != "+")

    @property
    def old(self) -> bytes:
        """The lines to find."""
        return b"".join(line.text for line in self.lines if line.sign != "+")

    @property
    def new(self) -> bytes:
        """The lines to put in their place."""
        return b"".join(line.text for line in self.lines if line.sign != "-")

    def count(self, sign: Sign) -> int:
        """Return the number of lines with this sign."""
        return sum(line.sign == sign for line in self.lines)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The change of one file. `source` is the old path of a moved or copied file.

    `others` are names that the patch may also mean, if they are the ones that exist. If the file `unlike` exists, the
    header names two files.
    """

    number: int
    """The first line of the section in the patch."""
    format: Format
    action: Action
    path: str
    source: str | None = None
    executable: bool | None = None
    others: tuple[str, ...] = ()
    unlike: str | None = None
    hunks: tuple[Hunk, ...] = ()


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of a patch in their order; there is at least one. `notes` list the forgiven differences."""

    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
