"""Where in a file a hunk belongs: exactly where its old lines are, and nowhere else.

A unified diff's line numbers are believed if every hunk of the file is where they say. Else each hunk must fit in
exactly one place of the file. Hunks of the envelope format have no numbers: each must fit in one place after the hunk
before it, and after its anchors. A place is a whole number of lines.

`bytes.find` takes linear time also at its worst (CPython's two-way search), and at most `SHOWN_PLACES` + 1 places are
looked for, so that a hunk costs about its file's size.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tools.patching.limits import Allowance
from tools.patching.mismatch import tell_mismatch
from tools.patching.patch import Hunk
from tools.patching.target import Target

SHOWN_PLACES = 10


def places_by_number(target: Target, hunks: Sequence[Hunk]) -> list[int] | None:
    """The offset of each hunk, if all of them are where their headers say; else None."""
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
    """The offset of each hunk, which must fit in one place of the file alone. Raises `ToolError`."""
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
    """The offset of each hunk, which must fit in one place after the hunk before it. Raises `ToolError`."""
    offsets: list[int] = []
    end = 0
    for index, hunk in enumerate(hunks):
        allowed.spend(len(target.data) * (1 + len(hunk.anchors)))
        offset = _only(target, index, hunk, end)
        offsets.append(offset)
        end = offset + len(hunk.old)
    return offsets


def _only(target: Target, index: int, hunk: Hunk, start: int) -> int:
    """The one place of the hunk from the offset `start` on."""
    found = list(islice(_places(target, hunk, start), SHOWN_PLACES + 1))
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
            index, hunk, "only adds lines, and it cannot be told where: give a line around them.", "invalid_params"
        )
    raise tell_mismatch(target, index, hunk, start)


def _places(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    if hunk.at_end:
        return _place_at_end(target, hunk, start)
    return _anchored_places(target, hunk, start) if hunk.anchors else _places_from(target, hunk, start)


def _places_from(target: Target, hunk: Hunk, start: int) -> Iterator[int]:
    """Every place from the offset `start`, a line's first byte, on."""
    old, new = hunk.old, hunk.new
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
    """The first place after every chain of the anchors. Nothing is searched twice: both only go on."""
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
    """Where the last anchor's line starts, and where it ends, with each anchor after the one before it."""
    line = end = start
    for pattern in patterns:
        match = pattern.search(data, end)
        if match is None:
            return None
        line, end = match.span()
    return line, end
