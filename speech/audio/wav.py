"""Samples as a WAV file."""

import wave
from io import BytesIO

from speech.base import SAMPLE_BYTES


def wav_of(samples: bytes | bytearray, rate: int) -> bytes:
    """Return 16-bit little-endian samples of one channel as a WAV file."""
    file = BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(SAMPLE_BYTES)
        written.setframerate(rate)
        written.writeframes(samples)
    return file.getvalue()
