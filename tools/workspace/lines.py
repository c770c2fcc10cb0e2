"""Cutting a stream of bytes to lines without ever holding more than two of its blocks.

A line ends after LF (CRLF included, a lone CR not), or after so many bytes that it would be too long; then what
follows is the next line. So every file has lines of bounded size, and all of them together are the file.
"""

import io
from collections.abc import Iterable, Iterator

CONTINUATION_MASK = 0b1100_0000
CONTINUATION = 0b1000_0000
MAX_CONTINUATIONS = 3


def runs(blocks: Iterable[bytes], longest: int) -> Iterator[tuple[bytes, int]]:
    """Runs of whole lines, each with the number of lines in it; together they are the blocks, byte for byte.

    No line is longer than `longest` bytes, and no block may be; a line that is cut is cut between UTF-8 characters.
    """
    held = b""
    for block in blocks:
        held += block
        end = held.find(b"\n") + 1
        while (end or len(held)) > longest:
            cut = _character_start(held, longest)
            yield held[:cut], 1
            held = held[cut:]
            end = max(end - cut, 0)
        end = held.rfind(b"\n") + 1
        if end:
            yield held[:end], held.count(b"\n")
            held = held[end:]
    if held:
        yield held, 1


def lines_of(run: bytes) -> Iterator[bytes]:
    """The lines of a run, with their ends."""
    return io.BytesIO(run)


def _character_start(data: bytes, position: int) -> int:
    """The start of the UTF-8 character at a position; the position itself where there is none that could be."""
    for start in range(position, position - MAX_CONTINUATIONS - 1, -1):
        if data[start] & CONTINUATION_MASK != CONTINUATION:
            return start
    return position
