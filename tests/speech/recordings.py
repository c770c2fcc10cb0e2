"""Audio for tests, and words to compare."""

import array
import math
import re
from functools import cache
from itertools import pairwise

from speech.audio.encoding import Encoder, encoded
from speech.base import SAMPLE_RATE, AudioFormat

PITCH = 440


def tone(seconds: float, rate: int = SAMPLE_RATE) -> bytes:
    """A hum as 16-bit samples."""
    step = 2 * math.pi * PITCH / rate
    return array.array("h", (int(8_000 * math.sin(step * place)) for place in range(int(rate * seconds)))).tobytes()


def silence(seconds: float, rate: int = SAMPLE_RATE) -> bytes:
    return bytes(int(rate * seconds) * 2)


def recording(format_: AudioFormat, seconds: float = 1.0) -> bytes:
    """A hum as a file."""
    return encoded(tone(seconds), format_)


@cache
def long_silence(hours: float, format_: AudioFormat = "flac", rate: int = 8_000) -> bytes:
    """Hours in few bytes."""
    encoder = Encoder(format_, rate=rate)
    minute = bytes(rate * 60 * 2)
    return b"".join([*(encoder.add(minute) for _ in range(int(hours * 60))), encoder.end()])


def pitch(pcm: bytes, rate: int = SAMPLE_RATE) -> float:
    """Of a hum, in hertz: how often its samples turn from below to above, without its edges."""
    every = array.array("h", pcm)
    samples = every[len(every) // 5 : -len(every) // 5]
    rises = sum(1 for before, after in pairwise(samples) if before < 0 <= after)
    return rises / (len(samples) / rate)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def accuracy(said: str, heard: str) -> float:
    """The part of the words that were heard right: 1 less the word error rate (edit distance over words)."""
    wanted, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for place, word in enumerate(wanted, 1):
        before, row[0] = row[0], place
        for other, candidate in enumerate(found, 1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (word != candidate))
    return 1 - row[-1] / max(1, len(wanted))
