"""Where in a file a hunk belongs: exactly where its old lines are, and nowhere else.

A unified diff's line numbers are believed if every hunk of the file is where they say. Else each hunk must fit in
exactly one place of the file. Hunks of the envelope format have no numbers: each must fit in one place after the hunk
before it, and after its anchors. A place is a whole number of lines.

`bytes.find` takes linear time also at its worst (CPython's two-way search), and at most `SHOWN_PLACES` + 1 finds are
made for a hunk, so that a hunk costs its file's size.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tools.base import ToolError
from tools.patching.limits import Allowance
from tools.patching.mismatch import Target, tell_mismatch
from tools.patching.patch import Hunk

SHOWN_PLACES = 10


def places_by_number(data: bytes, hunks: Sequence[Hunk]) -> list[int] | None:
    """The offset of each hunk, if all of them are where their headers say; else None."""
    offsets: list[int] = []
    line = end = shift = 0
    for hunk in hunks:
        position = hunk.position
        if position is None or position.old < line or position.new != position.old + shift:
            return None
        offset = offset_of(data, position.old - line, end)
        if offset is None or not _fits(data, offset, hunk):
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
        offset = _only(target, index, hunk, _whole_file_places(target.data, hunk))
        if offset < end:
            raise target.refusal(index, hunk, f"fits only at line {target.line(offset)}, but the hunk before it ends after that.")
        offsets.append(offset)
        end = offset + len(hunk.old)
    return offsets


def places_by_anchors(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> list[int]:
    """The offset of each hunk, which must fit in one place after the hunk before it. Raises `ToolError`."""
    offsets: list[int] = []
    end = 0
    for index, hunk in enumerate(hunks):
        allowed.spend(len(target.data) * (1 + len(hunk.anchors)))
        offset = _only(target, index, hunk, _places_from(target.data, hunk, end), after=end)
        offsets.append(offset)
        end = offset + len(hunk.old)
    return offsets


def offset_of(data: bytes, lines: int, start: int = 0) -> int | None:
    """The offset that so many lines after `start` end at; None where there are not so many."""
    offset = start
    for _ in range(lines):
        if offset == len(data):
            return None
        offset = data.find(b"\n", offset) + 1 or len(data)
    return offset


def _only(target: Target, index: int, hunk: Hunk, places: Iterable[int], after: int = 0) -> int:
    found = list(islice(places, SHOWN_PLACES + 1))
    if len(found) == 1:
        return found[0]
    if found:
        lines = ", ".join(str(target.line(offset)) for offset in found[:SHOWN_PLACES])
        more = ", …" if len(found) > SHOWN_PLACES else ""
        raise target.refusal(
            index, hunk, f"fits in several places, at lines {lines}{more}: give more lines around it.", "invalid_params"
        )
    if not hunk.old and not hunk.at_end:
        raise target.refusal(index, hunk, "only adds lines, and nothing tells where: give a line before or after them.")
    raise tell_mismatch(target, index, hunk, after)


def _whole_file_places(data: bytes, hunk: Hunk) -> Iterator[int]:
    return _places(data, hunk, 0)


def _places_from(data: bytes, hunk: Hunk, start: int) -> Iterator[int]:
    if hunk.at_end:
        return _place_at_end(data, hunk, start)
    return _anchored_places(data, hunk, start) if hunk.anchors else _places(data, hunk, start)


def _places(data: bytes, hunk: Hunk, start: int) -> Iterator[int]:
    """Every place from the offset `start`, a line's first byte, on."""
    old, new = hunk.old, hunk.new
    if not old:
        if not data:
            yield 0
        return
    if not old.endswith(b"\n") or not (new.endswith(b"\n") or not new):
        yield from _place_at_end(data, hunk, start)
        return
    if data.startswith(old, start):
        yield start
    needle = b"\n" + old
    found = data.find(needle, start)
    while found != -1:
        yield found + 1
        found = data.find(needle, found + 1)


def _place_at_end(data: bytes, hunk: Hunk, start: int) -> Iterator[int]:
    offset = len(data) - len(hunk.old)
    if offset >= start and _fits(data, offset, hunk):
        yield offset


def _anchored_places(data: bytes, hunk: Hunk, start: int) -> Iterator[int]:
    """The first place after every chain of the anchors: none is passed twice, so that each is looked for once."""
    patterns = [re.compile(rb"^[ \t]*" + re.escape(anchor) + rb"[ \t\r]*$", re.MULTILINE) for anchor in hunk.anchors]
    place = -1
    while (anchor := _after_anchors(data, patterns, start)) is not None:
        first, start = anchor
        if place < first:
            place = next(_places(data, hunk, first), -1)
            if place == -1:
                return
            yield place


def _after_anchors(data: bytes, patterns: Sequence[re.Pattern[bytes]], start: int) -> tuple[int, int] | None:
    """The start and the end of the line that the last anchor is found at, each being after the one before."""
    first = end = start
    for pattern in patterns:
        match = pattern.search(data, end)
        if match is None:
            return None
        first, end = match.start(), match.end()
    return first, end


def _fits(data: bytes, offset: int, hunk: Hunk) -> bool:
    """Whether the hunk's old lines are there, and lines are whole before and after it."""
    old, new = hunk.old, hunk.new
    end = offset + len(old)
    starts_line = offset == 0 or data[offset - 1 : offset] == b"\n"
    ends_line = end == len(data) or all(side.endswith(b"\n") or not side for side in (old, new))
    return starts_line and ends_line and data.startswith(old, offset)
