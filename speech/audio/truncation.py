"""How long audio says that it is, where its container says so: what is shorter was cut off.

WAV: RFC 2361 and https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html; Ogg pages: RFC 3533, section 6.
"""

import struct
from typing import Final

from speech.base import AudioKind

CHUNK_HEAD: Final = 8
UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36})
"""Of a WAV that was written before its end was known."""

PAGE_HEAD: Final = 27
MAX_PAGE_BYTES: Final = 65_307
MP3_LENGTH_MARKS: Final = (b"Xing", b"Info", b"VBRI")
MP3_HEAD_BYTES: Final = 4_096


def missing_bytes(data: bytes, kind: AudioKind) -> int:
    """How many bytes are not there that the container counts on, as far as it tells."""
    if kind == "wav":
        return _missing_of_wav(data)
    return _missing_of_ogg(data) if kind == "ogg" else 0


def tells_duration(data: bytes, kind: AudioKind) -> bool:
    """Whether a duration that the container gives is its word, and not an estimate from the size."""
    if kind == "mp3":
        return any(mark in data[:MP3_HEAD_BYTES] for mark in MP3_LENGTH_MARKS)
    return kind in {"flac", "mp4", "webm"}


def _missing_of_wav(data: bytes) -> int:
    place = 12
    while place + CHUNK_HEAD <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        place += CHUNK_HEAD
        if name == b"data":
            return 0 if size in UNKNOWN_SIZES else max(0, place + size - len(data))
        place += size + size % 2
    return 0


def _missing_of_ogg(data: bytes) -> int:
    """What lacks of the last page."""
    place = data.rfind(b"OggS", max(0, len(data) - MAX_PAGE_BYTES))
    if place < 0 or place + PAGE_HEAD > len(data):
        return max(0, place + PAGE_HEAD - len(data))
    count = data[place + PAGE_HEAD - 1]
    sizes = data[place + PAGE_HEAD : place + PAGE_HEAD + count]
    return max(0, place + PAGE_HEAD + count + sum(sizes) - len(data))
