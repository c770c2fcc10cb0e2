"""What a hunk wanted to find, and what is there instead."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.patching.lines import BYTE_ORDER_MARK
from tools.patching.patch import Hunk
from tools.patching.telling import quoted

MOST_PLACES = 20
"""How many lines that equal a hunk's first are looked at for the place that comes nearest."""


class Target(msgspec.Struct, frozen=True):
    """A file that hunks are looked for in."""

    path: str
    data: bytes

    def line(self, offset: int) -> int:
        """The number, from 1, of the line at an offset."""
        return self.data.count(b"\n", 0, offset) + 1

    def refusal(self, index: int, hunk: Hunk, sentence: str, code: ToolErrorCode = "conflict") -> ToolError:
        """The refusal of the hunk with that index, from 0, in the file's section."""
        where = f"{quoted(self.path.encode())}, hunk {index + 1} (patch line {hunk.number})"
        return ToolError(f"{where}: {sentence}", code=code)


def tell_mismatch(target: Target, index: int, hunk: Hunk, after: int) -> ToolError:
    """The refusal of a hunk that fits nowhere after an offset: its first line that differs at the nearest place."""
    if missing := _missing_anchor(target, hunk):
        return target.refusal(index, hunk, f"no line of the file is {quoted(missing)}, which its '@@' wants before it.")
    old = hunk.old_lines
    offsets = list(islice(_near(target, hunk, after), MOST_PLACES))
    if not offsets:
        return target.refusal(
            index,
            hunk,
            f"no line of the file{' after the hunk before it' if after else ''} is {quoted(old[0].text)} "
            f"(patch line {old[0].number}). The old lines must be exactly those of the file: read it again.",
        )
    matched, offset = max((_matched(target.data, offset, hunk) for offset in offsets), key=lambda found: found[0])
    if matched == len(old):
        return target.refusal(index, hunk, f"its lines are at line {target.line(offset) - matched}, but {_why(hunk)}.")
    found = _line_at(target.data, offset)
    wanted = old[matched]
    return target.refusal(
        index,
        hunk,
        f"expected {quoted(wanted.text)} (patch line {wanted.number}) at line {target.line(offset)} of the file, "
        f"found {'its end' if found is None else quoted(found)}{_hint(wanted.text, found)}.",
    )


def _missing_anchor(target: Target, hunk: Hunk) -> bytes | None:
    return next((anchor for anchor in hunk.anchors if anchor not in target.data), None)


def _near(target: Target, hunk: Hunk, after: int) -> Iterator[int]:
    """Offsets of lines to compare the hunk with: where its number says, and where its first line is."""
    if hunk.position:
        offset = offset_of(target.data, hunk.position.old)
        if offset is not None:
            yield offset
    first = hunk.old_lines[0].text
    if target.data.startswith(first, after):
        yield after
    found = target.data.find(b"\n" + first, after)
    while found != -1:
        yield found + 1
        found = target.data.find(b"\n" + first, found + 1)
