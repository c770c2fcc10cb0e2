"""A file with its hunks applied.

The hunks of a unified diff are looked for as they are, byte for byte, and only then with the file's own line ends, if
their own are plain LF everywhere. Those of the envelope format always leave the ends to the file.
"""

from collections.abc import Sequence

from tools.base import ToolError
from tools.patching.limits import Allowance
from tools.patching.line_ends import LineEnds, are_told
from tools.patching.patch import Hunk, Section
from tools.patching.places import places_by_anchors, places_by_content, places_by_number
from tools.patching.target import Target


def patched(section: Section, path: str, data: bytes, allowed: Allowance) -> bytes:
    """The content with the section's hunks applied; `path` is the file's name in messages. Raises `ToolError`."""
    target = Target(path, data)
    ends = LineEnds.of(data, section.hunks)
    if section.format == "envelope":
        hidden = Target(path, ends.hidden(data))
        return ends.restored(_joined(hidden, section.hunks, places_by_anchors(hidden, section.hunks, allowed)))
    try:
        return _unified(target, section.hunks, allowed)
    except ToolError as error:
        if error.code == "too_large" or ends.plain or are_told(section.hunks):
            raise
    return ends.restored(_unified(Target(path, ends.hidden(data)), section.hunks, allowed))


def _unified(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> bytes:
    places = places_by_number(target, hunks)
    return _joined(target, hunks, places_by_content(target, hunks, allowed) if places is None else places)


def _joined(target: Target, hunks: Sequence[Hunk], places: Sequence[int]) -> bytes:
    """What is between the hunks' places, with their new lines there."""
    pieces: list[bytes] = []
    end = 0
    for hunk, place in zip(hunks, places, strict=True):
        pieces += (target.data[end:place], hunk.new)
        end = place + len(hunk.old)
    return b"".join((*pieces, target.data[end:]))
