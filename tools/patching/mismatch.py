"""What a hunk wanted to find, and what is there instead."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from tools.base import ToolError
from tools.patching.formats.lines import BYTE_ORDER_MARK
from tools.patching.patch import Hunk
from tools.patching.target import Target
from tools.patching.telling import quoted

MAX_PLACES = 5
"""How many lines that equal a hunk's first are looked at for the place that comes nearest."""


class Nearness(msgspec.Struct, frozen=True, order=True):
    """How many of a hunk's lines are at a place, and the offset of the first that is not."""

    matched: int
    offset: int


def tell_mismatch(target: Target, index: int, hunk: Hunk, start: int) -> ToolError:
    """The refusal of a hunk that fits nowhere from an offset on: its first line that differs at the nearest place."""
    for anchor in hunk.anchors:
        if anchor not in target.data:
            return target.refusal(index, hunk, f"no line of the file is {quoted(anchor)}, which its '@@' line names.")
    old = hunk.old_lines
    nearest = max((_nearness(target, hunk, place) for place in _near(target, hunk, start)), default=None)
    if nearest is None:
        after = "after the hunk before it " if start else ""
        return target.refusal(
            index,
            hunk,
            f"expected {quoted(old[0].text)} (patch line {old[0].number}), found no such line {after}in the file: "
            "the old lines must be exactly as they are there. Read it again.",
        )
    if nearest.matched == len(old):
        return target.refusal(index, hunk, _why_not_there(target, hunk, nearest.offset))
    wanted = old[nearest.matched]
    found = target.line_at(nearest.offset)
    return target.refusal(
        index,
        hunk,
        f"expected {quoted(wanted.text)} (patch line {wanted.number}) at line {target.line_number(nearest.offset)} of "
        f"the file, found {'its end' if found is None else quoted(found)}{_hint(wanted.text, found or b'')}.",
    )


def _near(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    """Places to compare the hunk with: those of its first line, and the one that its number says."""
    first = hunk.old_lines[0].text
    yield from islice(_starts(target.data, first, start), MAX_PLACES)
    numbered = target.skip(hunk.position.old) if hunk.position else None
    if numbered is not None:
        yield numbered


def _starts(data: bytes, first: bytes, start: int) -> Iterator[int]:
    if data.startswith(first, start):
        yield start
    found = data.find(b"\n" + first, start)
    while found != -1:
        yield found + 1
        found = data.find(b"\n" + first, found + 1)


def _nearness(target: Target, hunk: Hunk, place: int) -> Nearness:
    offset = place
    for matched, line in enumerate(hunk.old_lines):
        if target.line_at(offset) != line.text:
            return Nearness(matched, offset)
        offset += len(line.text)
    return Nearness(len(hunk.old_lines), offset)


def _why_not_there(target: Target, hunk: Hunk, end: int) -> str:
    found = f"its old lines are at line {target.line_number(end - len(hunk.old))} of the file"
    if hunk.at_end:
        return f"{found}, but not at its end."
    if hunk.anchors:
        return f"{found}, but not after its '@@' lines."
    return f"{found}, which goes on after them, so that the last new line needs a newline."


def _hint(wanted: bytes, found: bytes) -> str:
    """Why two lines that may look alike differ."""
    if found.removeprefix(BYTE_ORDER_MARK) == wanted:
        return " after a byte order mark (U+FEFF), which the patch must have too"
    if found.rstrip(b"\r\n") == wanted.rstrip(b"\r\n"):
        return f", which ends with {_shown_end(found)} instead of {_shown_end(wanted)}"
    if found.split() == wanted.split():
        return ", where the white space differs"
    try:
        found.decode()
    except UnicodeDecodeError:
        return ", which is not UTF-8: no patch can hold that line, so that no hunk can reach over it"
    return ""


def _shown_end(line: bytes) -> str:
    end = line[len(line.rstrip(b"\r\n")) :]
    return repr(end.decode()) if end else "no newline (in a diff: '\\ No newline at end of file' after it)"
