"""A command's output as text: what is shown of it, and where its middle is left out."""

import codecs
from typing import Final

MAX_SHOWN_BYTES: Final = 32 * 1024
"""Of both streams together, in a result. All of it was told live."""


def shares(first: int, second: int) -> tuple[int, int]:
    """How many bytes of two streams of these sizes are shown: what one does not need is the other's."""
    half = MAX_SHOWN_BYTES // 2
    if first <= half:
        return first, min(second, MAX_SHOWN_BYTES - first)
    if second <= half:
        return min(first, MAX_SHOWN_BYTES - second), second
    return half, half


def shortened(head: bytes, tail: bytes, size: int, max_bytes: int) -> str:
    """A stream of `size` bytes, of which these are kept: all of it, or its start and end with a note between them."""
    kept = head + tail
    if size == len(kept) <= max_bytes:
        return storable(kept.decode("utf-8", "replace"))
    half = max_bytes // 2
    start = codecs.getincrementaldecoder("utf-8")("replace").decode(kept[: min(half, len(head) or half)])
    end = kept[len(kept) - half :] if half else b""
    cut = next((at for at, byte in enumerate(end[:4]) if byte & 0xC0 != 0x80), 0)  # no character's middle
    missing = size - len(start.encode()) - len(end) + cut
    return storable(f"{start}\n[... {missing} bytes are left out here ...]\n{end[cut:].decode('utf-8', 'replace')}")


def storable(text: str) -> str:
    """The text without NUL, which no database of texts takes."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
