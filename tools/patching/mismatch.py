"""The message for a hunk that does not fit: the expected line, and the line that was found."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from tools.base import ToolError
from tools.patching.formats.lines import BYTE_ORDER_MARK
from tools.patching.messages import quoted
from tools.patching.patch import Hunk
from tools.patching.target import Target

MAX_PLACES = 5
"""Lines equal to a hunk's first line that are compared, to find the best place."""


class Nearness(msgspec.Struct, frozen=True, order=True):
    """The number of a hunk's lines that match at a place, and the offset of the first that does not."""

    matched: int
    offset: int


def mismatch_error(target: Target, index: int, hunk: Hunk, start: int) -> ToolError:
    """Return the error for a hunk that fits nowhere after an offset. It shows where the best place differs."""
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
            f"expected {quoted(old[0].text)} (patch line {old[0].number}), found no such line {after}in the file. "
            "The old lines must match the file exactly: read it again.",
        )
    line_number = target.line_number(nearest.offset)
    if nearest.matched == len(old):
        there = f"its old lines are at line {target.line_number(nearest.offset - len(hunk.old))} of the file"
        if hunk.at_end:
            return target.refusal(index, hunk, f"{there}, but not at its end.")
        if hunk.anchors:
            return target.refusal(index, hunk, f"{there}, but not after its '@@' lines.")
        return target.refusal(index, hunk, f"{there}, and more lines follow: the last new line needs a newline.")
    missed = old[nearest.matched]
    found = target.line_at(nearest.offset)
    return target.refusal(
        index,
        hunk,
        f"expected {quoted(missed.text)} (patch line {missed.number}) at line {line_number} of the file, "
        f"found {'its end' if found is None else quoted(found)}{_hint(missed.text, found or b'')}.",
    )


def _near(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    """Yield the places to compare: those of the hunk's first line, and the one of its line number."""
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


def _hint(expected: bytes, found: bytes) -> str:
    """Return why two lines that look alike differ."""
    if found.removeprefix(BYTE_ORDER_MARK) == expected:
        return " after a byte order mark (U+FEFF), which the patch must have too"
    if found.rstrip(b"\r\n") == expected.rstrip(b"\r\n"):
        return f", which ends with {_shown_end(found)} instead of {_shown_end(expected)}"
    if found.split() == expected.split():
        return ", where the white space differs"
    try:
        found.decode()
    except UnicodeDecodeError:
        # A patch comes as JSON, which is UTF-8.
        return ", which is not UTF-8: no patch can contain that line, so no hunk can cover it"
    return ""


def _shown_end(line: bytes) -> str:
    end = line[len(line.rstrip(b"\r\n")) :]
    return repr(end.decode()) if end else "no newline (in a diff: '\\ No newline at end of file' after it)"
