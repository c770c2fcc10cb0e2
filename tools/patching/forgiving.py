"""Applying hunks that differ from the file in invisible characters, if that leaves exactly one reading.

Each rung forgives more than the one before it. A kept line stays byte for byte as it is in the file. A new line gets
the line end of the line that it replaces.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from tools.base import ToolError
from tools.patching.formats.lines import BYTE_ORDER_MARK
from tools.patching.limits import MIB, Allowance
from tools.patching.patch import Hunk, Line
from tools.patching.target import Target

MAX_BYTES = MIB
"""Bytes of a file whose lines are compared in this way."""

MAX_PLACES = 1_000
"""Places of one hunk that are considered."""

MAX_READINGS = 2_000
"""Combinations of places that are tried."""

ELLIPSES = frozenset({b"...", "…".encode(), b"# ...", b"// ...", b"[...]"})

Key = Callable[[bytes], bytes]


class Rung(msgspec.Struct, frozen=True):
    """One degree of forgiving: `key` is the compared part of a line, `note` names the forgiven difference."""

    note: str
    key: Key
    unsigned: bool = False
    elided: bool = False


def _end_ignored(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _loose(line: bytes) -> bytes:
    text = line.rstrip(b" \t\r\n")
    if text.isascii():
        return text
    try:
        return unicodedata.normalize("NFC", text.decode()).encode()
    except UnicodeDecodeError:
        return text


RUNGS = (
    Rung(
        "line ends, a byte order mark or the last newline differ from the patch: those of the file were kept",
        _end_ignored,
    ),
    Rung(
        "white space at the end of lines, or the form of accents, differs from the patch: the file's was kept", _loose
    ),
    Rung("context lines had lost their first space", _loose, unsigned=True),
    Rung("'...' in a hunk stood for lines that were left out", _loose, elided=True),
)


def forgiven(target: Target, hunks: Sequence[Hunk], allowed: Allowance) -> tuple[bytes, str] | None:
    """Return the changed content, and a note of the forgiven differences; None if there is no reading.

    Raises `ToolError` (`invalid_params`) if there are several.
    """
    if len(target.data) > MAX_BYTES:
        return None
    file = _File(target.data)
    for rung in RUNGS:
        pieces = [piece for hunk in hunks for piece in (_elided(hunk) if rung.elided else (hunk,))]
        if rung.elided and len(pieces) == len(hunks):
            return None
        allowed.spend(len(target.data) * len(pieces))
        search = _Search(file, rung)
        readings = _readings([search.places(piece) for piece in pieces], pieces)
        if len(readings) > 1:
            # The words after the numbers of a header name the lines around the hunk.
            headed = [msgspec.structs.replace(p, anchors=p.anchors or p.headings) for p in pieces]
            readings = _readings([search.places(piece) for piece in headed], pieces) or readings
        if len(readings) > 1:
            raise _several(target, pieces, readings)
        if readings:
            return file.with_hunks(pieces, readings[0]), rung.note
    return None


def _elided(hunk: Hunk) -> Iterator[Hunk]:
    """Yield the pieces of a hunk between its context lines of an ellipsis."""
    piece: list[Line] = []
    for line in (*hunk.lines, None):
        if line is None or (line.sign == " " and line.text.strip() in ELLIPSES):
            if piece:
                yield msgspec.structs.replace(hunk, lines=tuple(piece))
            piece = []
        else:
            piece.append(line)


def _readings(places: Sequence[Sequence[int]], hunks: Sequence[Hunk]) -> list[tuple[int, ...]]:
    """Return up to two ways to put all hunks in their order, which differ in where lines change."""
    found: dict[tuple[int, ...], tuple[int, ...]] = {}

    def extend(chosen: tuple[int, ...], end: int) -> Iterator[tuple[int, ...]]:
        index = len(chosen)
        if index == len(hunks):
            yield chosen
            return
        for place in places[index][bisect_left(places[index], end) :]:
            yield from extend((*chosen, place), place + len(hunks[index].old_lines))

    # Each hunk is a level of the recursion.
    if len(hunks) > MAX_READINGS // 10 or not all(places):
        return []
    for reading in islice(extend((), 0), MAX_READINGS):
        changed = tuple(
            p for p, hunk in zip(reading, hunks, strict=True) if any(line.sign != " " for line in hunk.lines)
        )
        found.setdefault(changed, reading)
        if len(found) > 1:
            break
    return list(found.values())


def _several(target: Target, hunks: Sequence[Hunk], readings: Sequence[Sequence[int]]) -> ToolError:
    one, other = readings
    index = next(i for i, places in enumerate(zip(one, other, strict=True)) if len(set(places)) > 1)
    lines = ", ".join(str(place + 1) for place in sorted((one[index], other[index])))
    return target.refusal(
        index, hunks[index], f"fits in several places, at lines {lines}: give more lines around it.", "invalid_params"
    )


class _Search:
    """The search for hunks in the lines of a file, as a rung compares them."""

    def __init__(self, file: "_File", rung: Rung) -> None:
        self._rung = rung
        self._keys = [rung.key(line) for line in file.lines]
        self._text = b"".join(b"\n%b" % key for key in self._keys) + b"\n"

    def places(self, hunk: Hunk) -> list[int]:
        """Return the lines, from 0, at which the hunk fits, in their order."""
        old = hunk.old_lines
        if not old:
            return self._places_of_addition(hunk)
        needle = b"".join(b"\n%b" % self._wanted(line, first=index == 0) for index, line in enumerate(old)) + b"\n"
        found: list[int] = []
        line, counted = 0, 0
        offset = self._text.find(needle)
        while offset >= 0 and len(found) < MAX_PLACES:
            line, counted = line + self._text.count(b"\n", counted, offset), offset
            found.append(line)
            offset = self._text.find(needle, offset + 1)
        if hunk.at_end:
            return [place for place in found if place + len(old) == len(self._keys)]
        if not hunk.anchors:
            return found
        after = [found[index] for line in self._anchored(hunk) if (index := bisect_left(found, line)) < len(found)]
        return sorted(set(after))

    def _places_of_addition(self, hunk: Hunk) -> list[int]:
        if hunk.anchors:
            return [line + 1 for line in self._anchored(hunk)]
        # The lines of a numbered hunk belong to their place, and not to the end.
        return [] if hunk.numbered else [len(self._keys)]

    def _anchored(self, hunk: Hunk) -> list[int]:
        """Return each line of the last anchor that follows all others."""
        stripped = [key.strip() for key in self._keys]
        first = 0
        lines: list[int] = []
        for anchor in hunk.anchors:
            lines = [line for line in range(first, len(stripped)) if stripped[line] == anchor]
            lines = lines or [line for line in range(first, len(stripped)) if stripped[line].startswith(anchor)]
            if not lines:
                return []
            first = lines[0] + 1
        return lines

    def _wanted(self, line: Line, *, first: bool) -> bytes:
        text = line.text.removeprefix(BYTE_ORDER_MARK) if first else line.text
        # A context line of white space has lost nothing that could be seen.
        if self._rung.unsigned and line.sign == " " and text[:1] in {b" ", b"\t"}:
            text = b" " + text
        return self._rung.key(text)


class _File:
    """The lines of a file, each with its own end, and the text around them."""

    def __init__(self, data: bytes) -> None:
        self._mark = BYTE_ORDER_MARK if data.startswith(BYTE_ORDER_MARK) else b""
        self.lines = data.removeprefix(self._mark).split(b"\n")
        self._is_open = bool(self.lines.pop())
        if self._is_open:
            self.lines.append(data.removeprefix(self._mark).rpartition(b"\n")[2])
        self.lines = [line + b"\n" for line in self.lines]
        self._end = b"\r\n" if self.lines and self.lines[0].endswith(b"\r\n") else b"\n"

    def with_hunks(self, hunks: Sequence[Hunk], places: Sequence[int]) -> bytes:
        """Return the content with the hunks applied at their lines."""
        made: list[bytes] = []
        end = 0
        for hunk, place in zip(hunks, places, strict=True):
            made += self.lines[end:place]
            end = place + len(hunk.old_lines)
            made += self._replaced(hunk, place, made[-1] if made else b"")
        made += self.lines[end:]
        content = b"".join(made)
        if self._stays_open(hunks, at_end=end == len(self.lines)):
            content = content.removesuffix(b"\n").removesuffix(b"\r")
        return self._mark + content

    def _replaced(self, hunk: Hunk, place: int, before: bytes) -> Iterator[bytes]:
        """Yield the new lines of a hunk: kept ones as they are, others with the ends of those that they replace."""
        removed: list[bytes] = []
        line = place
        last = before
        for index, part in enumerate(hunk.lines):
            if part.sign == "+":
                following = self.lines[line] if line < len(self.lines) else b""
                ends = _end_of(removed.pop(0) if removed else last or following) or self._end
                text = part.text.removesuffix(b"\n").removesuffix(b"\r")
                last = (text.removeprefix(BYTE_ORDER_MARK) if self._mark and index <= 1 else text) + ends
                yield last
                continue
            if part.sign == " ":
                removed = []
                last = self.lines[line]
                yield last
            else:
                removed.append(self.lines[line])
            line += 1

    def _stays_open(self, hunks: Sequence[Hunk], *, at_end: bool) -> bool:
        """Return whether the content ends without a newline: as the patch notes, or as before."""
        old = any(line.sign != "+" and not line.text.endswith(b"\n") for hunk in hunks for line in hunk.lines)
        new = any(line.sign != "-" and not line.text.endswith(b"\n") for hunk in hunks for line in hunk.lines)
        return new if at_end and old != new else self._is_open


def _end_of(line: bytes) -> bytes:
    return line[len(_end_ignored(line)) :]
