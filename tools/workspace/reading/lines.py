"""Splitting of a stream of bytes into lines, with at most two blocks in memory.

A line ends after LF (also as CRLF, but not after a lone CR). A line that is too long ends at its maximum, and the rest
is the next line. The lines together are the file, byte for byte.
"""

import codecs
import io
from collections.abc import Iterable, Iterator

CONTINUATION_MASK = 0b1100_0000
CONTINUATION = 0b1000_0000
MAX_CONTINUATIONS = 3


MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding of a text by its byte order mark and its first bytes; None for UTF-8 and binary files."""
    encoding = MARKS.get(head[:2])
    if encoding is None:
        return None
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    # UTF-32 has the same mark, with NULs after it.
    return encoding if len(text) > 1 and "\0" not in text else None


def as_utf8(blocks: Iterable[bytes], encoding: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the text of the blocks as UTF-8 without its byte order mark, in blocks of at most `max_bytes`."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    mark = "\ufeff"
    for block in blocks:
        text = decoder.decode(block).removeprefix(mark).replace("\0", "\ufffd").encode("utf-8", "replace")
        mark = ""
        for start in range(0, len(text), max_bytes):
            yield text[start : start + max_bytes]


def runs(blocks: Iterable[bytes], max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield runs of whole lines, each with its number of lines. Together they are the blocks, byte for byte.

    Lines and blocks have at most `max_bytes`. A longer line is cut between two UTF-8 characters.
    """
    held = b""
    for block in blocks:
        held += block
        # Only the first line can be too long: the others lie within one block.
        end = held.find(b"\n") + 1
        while (end or len(held)) > max_bytes:
            # At the start of the character there; in bytes that are not UTF-8, exactly at the maximum.
            nearby = range(max_bytes, max_bytes - MAX_CONTINUATIONS - 1, -1)
            cut = next((at for at in nearby if held[at] & CONTINUATION_MASK != CONTINUATION), max_bytes)
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
    """Return the lines of a run, with their ends."""
    # `bytes.splitlines` would also split at a lone CR.
    return io.BytesIO(run)
