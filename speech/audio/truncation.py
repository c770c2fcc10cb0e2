"""The lengths that containers declare. A file that is shorter than it declares was truncated.

WAV: RFC 2361 and https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html; Ogg pages: RFC 3533, section 6.
CAF: https://developer.apple.com/library/archive/documentation/MusicAudio/Reference/CAFSpec.
"""

import struct
from typing import Final

from speech.base import AudioKind

CHUNK_HEADER: Final = 8
CAF_HEADER: Final = 12
# A WAV file that was streamed has one of these sizes, because its length was unknown when the header was written.
UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36})

PAGE_HEADER: Final = 27
MAX_PAGE_BYTES: Final = 65_307
MP3_LENGTH_MARKS: Final = (b"Xing", b"Info", b"VBRI")
MP3_HEADER_BYTES: Final = 4_096


def missing_bytes(data: bytes, kind: AudioKind) -> int:
    """Return the number of bytes that are missing according to the container, or 0 if it does not declare a size."""
    if kind == "wav":
        # The RIFF header has 12 bytes; chunks follow it.
        place = 12
        while place + CHUNK_HEADER <= len(data):
            name, size = struct.unpack_from("<4sI", data, place)
            place += CHUNK_HEADER
            if name == b"data":
                return 0 if size in UNKNOWN_SIZES else max(0, place + size - len(data))
            # Chunks are padded to an even size.
            place += size + size % 2
    if kind == "caf":
        # The file's header has 8 bytes. A size of -1 is unknown.
        place = 8
        while place + CAF_HEADER <= len(data):
            name, size = struct.unpack_from(">4sq", data, place)
            place += CAF_HEADER
            if name == b"data" or size < 0:
                return max(0, place + int(size) - len(data))
            place += int(size)
    if kind == "ogg":
        # Pages are complete if the last one is: its header has the sizes of its segments.
        place = data.rfind(b"OggS", max(0, len(data) - MAX_PAGE_BYTES))
        if place < 0 or place + PAGE_HEADER > len(data):
            return max(0, place + PAGE_HEADER - len(data))
        count = data[place + PAGE_HEADER - 1]
        sizes = data[place + PAGE_HEADER : place + PAGE_HEADER + count]
        return max(0, place + PAGE_HEADER + count + sum(sizes) - len(data))
    return 0


def declares_duration(data: bytes, kind: AudioKind) -> bool:
    """Return true if the container declares a duration."""
    # FFmpeg estimates the duration of other files from their size, which says nothing about truncation.
    if kind == "mp3":
        return any(mark in data[:MP3_HEADER_BYTES] for mark in MP3_LENGTH_MARKS)
    return kind in {"flac", "mp4", "webm", "aiff", "au", "caf", "wma"}
