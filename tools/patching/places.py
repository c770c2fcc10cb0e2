"""The places of hunks in a file: where the old lines of each match exactly.

If every hunk of a unified diff is where its line number says, those are the places. Otherwise each hunk must fit in
exactly one place of the file. Hunks of the envelope format have no line numbers: each must fit in one place after the
hunk before it, and after its anchors. A place begins at the start of a line.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tools.patching.limits import Allowance
from tools.patching.mismatch import mismatch_error
from tools.patching.patch import Hunk
from tools.patching.target import Target

# A hunk costs about its file's size: `bytes.find` is linear in the worst case too (CPython's two-way search), and no
# more places than these and one are searched.
SHOWN_PLACES = 10
"""Places that a message lists."""


def places_by_number(target: Target, hunks: Sequence[Hunk]) -> list[int] | None:
    """Return the offset of each hunk if all of them are where their line numbers say; otherwise None."""
    offsets: list[int] = []
    line = end = shift = 0
    for hunk in hunks:
        position = hunk.position
        if position is None or position.old < line or position.new != position.old + shift:
            return None
        offset = target.skip(position.old - line, end)
        if offset is None or not target.fits(hunk, offset):
            return None
        offsets.append(offset)
        line = position.old + len(hunk.old_lines)
        end = offset + len(hunk.old)
        shift += hunk.count("+") - hunk.count("-")
    return offsets


def places_by_content(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> list[int]:
    """Return the offset of each hunk, which must fit in only one place of the file. Raises `ToolError`."""
    offsets: list[int] = []
    end = 0
    for index, hunk in enumerate(hunks):
        allowed.spend(len(target.data))
        offset = _only(target, index, hunk, 0)
        if offset < end:
            raise target.refusal(
                index, hunk, f"fits only at line {target.line_number(offset)}, before the end of the hunk before it."
            )
        offsets.append(offset)
        end = offset + len(hunk.old)
    return offsets


def places_by_anchors(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> list[int]:
    """Return the offset of each hunk, which must fit in one place after the hunk before it. Raises `ToolError`."""
    offsets: list[int] = []
    end = 0
    for index, hunk in enumerate(hunks):
        allowed.spend(len(target.data) * (1 + len(hunk.anchors)))
        offset = _only(target, index, hunk, end)
        offsets.append(offset)
        end = offset + len(hunk.old)
    return offsets


def _only(target: Target, index: int, hunk: Hunk, start: int) -> int:
    """Return the only place of the hunk after the offset `start`. Raises `ToolError`."""
    if hunk.at_end:
        places = _place_at_end(target, hunk, start)
    elif hunk.anchors:
        places = _anchored_places(target, hunk, start)
    else:
        places = _places_from(target, hunk, start)
    found = list(islice(places, SHOWN_PLACES + 1))
    if len(found) == 1:
        return found[0]
    if found:
        lines = ", ".join(str(target.line_number(offset)) for offset in found[:SHOWN_PLACES])
        more = " and more" if len(found) > SHOWN_PLACES else ""
        raise target.refusal(
            index, hunk, f"fits in several places, at lines {lines}{more}: give more lines around it.", "invalid_params"
        )
    if not hunk.old:
        raise target.refusal(
            index, hunk, "only adds lines, and their place is unknown: give a line around them.", "invalid_params"
        )
    raise mismatch_error(target, index, hunk, start)


def _places_from(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    """Yield every place after the offset `start`, which is the first byte of a line."""
    old, new = hunk.old, hunk.new
    # Lines without a newline can only be at the end of the file.
    if not (old.endswith(b"\n") and (new.endswith(b"\n") or not new)):
        if old or not target.data:
            yield from _place_at_end(target, hunk, start)
        return
    if target.data.startswith(old, start):
        yield start
    needle = b"\n" + old
    found = target.data.find(needle, start)
    while found != -1:
        yield found + 1
        found = target.data.find(needle, found + 1)


def _place_at_end(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    offset = len(target.data) - len(hunk.old)
    if offset >= start and target.fits(hunk, offset):
        yield offset


def _anchored_places(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    """Yield the first place after each occurrence of the anchors in their order."""
    # Anchors and places are both searched only forwards, so no byte is searched twice by one pattern.
    patterns = [re.compile(rb"^[ \t]*" + re.escape(anchor) + rb"[ \t\r]*$", re.MULTILINE) for anchor in hunk.anchors]
    place = -1
    while (anchor := _after_anchors(target.data, patterns, start)) is not None:
        line, start = anchor
        if place < line:
            place = next(_places_from(target, hunk, line), -1)
            if place == -1:
                return
            yield place


def _after_anchors(data: bytes, patterns: Sequence[re.Pattern[bytes]], start: int) -> tuple[int, int] | None:
    """Return the start and the end of the last anchor's line, if each anchor is found after the one before it."""
    line = end = start
    for pattern in patterns:
        match = pattern.search(data, end)
        if match is None:
            return None
        line, end = match.span()
    return line, end
