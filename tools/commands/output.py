"""The output of a command as text, shortened in the middle."""

import codecs
from typing import Final

from web.plurals import noun_for

MAX_SHOWN_BYTES: Final = 32 * 1024
"""Bytes of both streams together that a result shows. Live output and the output store have more."""


def shares(first: int, second: int) -> tuple[int, int]:
    """Return how many bytes of two streams of these sizes are shown. One gets the room that the other does not need."""
    half = MAX_SHOWN_BYTES // 2
    if first <= half:
        return first, min(second, MAX_SHOWN_BYTES - first)
    if second <= half:
        return min(first, MAX_SHOWN_BYTES - second), second
    return half, half


def shortened(head: bytes, tail: bytes, size: int, max_bytes: int) -> str:
    """Return the text of a stream of `size` bytes, of which head and tail are given, in at most about `max_bytes`."""
    kept = head + tail
    if size == len(kept) <= max_bytes:
        return storable(kept.decode("utf-8", "replace"))
    half = max_bytes // 2
    start = codecs.getincrementaldecoder("utf-8")("replace").decode(kept[: min(half, len(head) or half)])
    end = kept[len(kept) - half :] if half else b""
    # Begin the end at a whole character: a byte 10xxxxxx continues one (RFC 3629).
    cut = next((at for at, byte in enumerate(end[:4]) if byte & 0xC0 != 0x80), 0)
    missing = size - len(start.encode()) - len(end) + cut
    note = f"[... {missing} {noun_for(missing, 'byte is', 'bytes are')} left out here ...]"
    return storable(f"{start}\n{note}\n{end[cut:].decode('utf-8', 'replace')}")


def storable(text: str) -> str:
    """Return the text with NUL replaced by U+FFFD."""
    # PostgreSQL takes no NUL in text.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
