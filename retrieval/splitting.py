"""Splitting of a text into pieces: Markdown at headings, code at symbols, and any text at blank lines.

A text is cut at its strongest boundaries first: where a section or a symbol begins, then at blank lines, then at any
line. Small neighbours are joined. Every pass is linear in the text.
"""

from collections.abc import Iterator
from typing import Final

from retrieval.base import DocumentError, Kind, Piece
from retrieval.boundaries import Boundary, boundaries_of
from retrieval.limits import MAX_LINE_CHARS, MAX_PIECE_CHARS, MAX_PIECES_PER_FILE, MIN_PIECE_CHARS

MAX_TITLE_CHARS: Final = 160
MAX_TITLES: Final = 4
"""Headings or symbols in the title of a piece, the innermost ones."""


def split(text: str, kind: Kind) -> list[Piece]:
    """Return the pieces of a text. Raises `DocumentError` if it has a line that no text has."""
    # As `fs.read` counts lines: only LF ends one.
    lines = text.split("\n")
    if len(max(lines, key=len)) > MAX_LINE_CHARS:
        raise DocumentError(f"It has a line of more than {MAX_LINE_CHARS} characters, so it is data, not text.")
    boundaries = list(boundaries_of(lines, kind))
    pieces: list[Piece] = []
    for first, last, title in _joined(lines, list(_spans(lines, boundaries))):
        for piece in _cut(lines, first, last, title):
            pieces.append(piece)
            if len(pieces) == MAX_PIECES_PER_FILE:
                return pieces
    return pieces


def _spans(lines: list[str], boundaries: list[Boundary]) -> Iterator[tuple[int, int, str]]:
    """Yield the first and the last line of each section (from 0), and the titles around it."""
    open_: list[Boundary] = []
    start, title = 0, ""
    for boundary in boundaries:
        if boundary.line > start:
            yield start, boundary.line - 1, title
        while open_ and open_[-1].depth >= boundary.depth:
            open_.pop()
        open_.append(boundary)
        start = boundary.line
        title = " > ".join(each.title[:MAX_TITLE_CHARS] for each in open_[-MAX_TITLES:])
    yield start, len(lines) - 1, title


def _joined(lines: list[str], spans: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Yield the spans, small ones joined with those that follow while both fit into one piece."""
    held: tuple[int, int, str] | None = None
    held_chars = 0
    for first, last, title in spans:
        chars = sum(map(len, lines[first : last + 1])) + last - first + 1
        if held and held_chars < MIN_PIECE_CHARS and held_chars + chars <= MAX_PIECE_CHARS:
            held, held_chars = (held[0], last, _common(held[2], title)), held_chars + chars
            continue
        if held:
            yield held
        held, held_chars = (first, last, title), chars
    if held:
        yield held


def _common(one: str, other: str) -> str:
    """Return the title of two joined spans: the inner one if it is below the other, otherwise both."""
    if not one or other.startswith(one):
        return other
    return one if len(one) + len(other) > 2 * MAX_TITLE_CHARS else f"{one}; {other}"


def _cut(lines: list[str], first: int, last: int, title: str) -> Iterator[Piece]:
    """Yield the pieces of a span, cut at a blank line if there is one in the second half of a piece."""
    start = first
    while start <= last:
        chars, end, blank = 0, start, -1
        while end <= last and chars + len(lines[end]) <= MAX_PIECE_CHARS:
            chars += len(lines[end]) + 1
            if chars > MAX_PIECE_CHARS // 2 and not lines[end].strip():
                blank = end
            end += 1
        if end == start:
            # One line is longer than a piece.
            line = lines[start]
            for at in range(0, len(line), MAX_PIECE_CHARS):
                yield Piece(first=start + 1, last=start + 1, title=title, text=line[at : at + MAX_PIECE_CHARS])
            start += 1
            continue
        if end <= last and blank > start:
            end = blank + 1
        begin, stop = start, end
        while begin < stop and not lines[begin].strip():
            begin += 1
        while stop > begin and not lines[stop - 1].strip():
            stop -= 1
        if begin < stop:
            yield Piece(first=begin + 1, last=stop, title=title, text="\n".join(lines[begin:stop]))
        start = end
