"""Applying hunks to the content of a file."""

from collections.abc import Sequence

from tools.base import ToolError
from tools.patching.forgiving import forgiven
from tools.patching.limits import Allowance
from tools.patching.line_ends import LineEnds
from tools.patching.patch import Hunk, Section
from tools.patching.places import places_by_anchors, places_by_content, places_by_number
from tools.patching.target import Target


def patched(section: Section, path: str, data: bytes, allowed: Allowance) -> tuple[bytes, str]:
    """Return the content with the section's hunks applied, and a note of the forgiven differences, which may be empty.

    `path` is for messages. Raises `ToolError`.
    """
    try:
        return _exactly(section, path, data, allowed), ""
    except ToolError as error:
        if error.code == "too_large":
            raise
        exact = error
    try:
        reading = forgiven(Target(path, data), section.hunks, allowed)
    except ToolError as error:
        # Both name the places; the first names more of them.
        raise (exact if exact.code == error.code else error) from None
    if reading is None:
        raise exact
    return reading


def _exactly(section: Section, path: str, data: bytes, allowed: Allowance) -> bytes:
    ends = LineEnds.of(data, section.hunks)
    if section.format == "envelope":
        # This format cannot express a missing newline, so the file keeps its own line ends.
        target = Target(path, ends.hidden(data))
        return ends.restored(_joined(target, section.hunks, places_by_anchors(target, section.hunks, allowed)))
    try:
        return _unified(Target(path, data), section.hunks, allowed)
    except ToolError as error:
        if error.code == "too_large" or not ends.crlf:
            raise
    # The patch has LF and the file CRLF: many programs write patches so. It did not fit byte for byte.
    crlf = LineEnds(crlf=True, open=False)
    return crlf.restored(_unified(Target(path, crlf.hidden(data)), section.hunks, allowed))


def _unified(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> bytes:
    places = places_by_number(target, hunks)
    return _joined(target, hunks, places_by_content(target, hunks, allowed) if places is None else places)


def _joined(target: Target, hunks: Sequence[Hunk], places: Sequence[int]) -> bytes:
    """Return the content with the new lines of each hunk in its place."""
    pieces: list[bytes] = []
    end = 0
    for hunk, place in zip(hunks, places, strict=True):
        pieces += (target.data[end:place], hunk.new)
        end = place + len(hunk.old)
    return b"".join((*pieces, target.data[end:]))
