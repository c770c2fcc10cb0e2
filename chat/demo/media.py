"""A picture and a recording for the demo, made from numbers."""

import io
import math
import struct
import wave
import zlib
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 224
HEIGHT: Final = 112
BAR: Final = (0x2F, 0x6F, 0x8F)
PAPER: Final = (0xFF, 0xFF, 0xFF)
RATE: Final = 8_000


def chart(heights: Sequence[float]) -> bytes:
    """Return a bar chart as a PNG. A height of 1 is the whole picture."""
    step = WIDTH // len(heights)
    rows = bytearray()
    for y in range(HEIGHT):
        rows.append(0)
        for x in range(WIDTH):
            height = heights[min(x // step, len(heights) - 1)]
            is_bar = x % step > step // 4 and HEIGHT - y <= height * HEIGHT
            rows += bytes(BAR if is_bar else PAPER)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def tone(seconds: float, hertz: float = 440) -> bytes:
    """Return a tone as a WAV file."""
    count = int(seconds * RATE)
    samples = [int(8_000 * math.sin(2 * math.pi * hertz * index / RATE)) for index in range(count)]
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return target.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
