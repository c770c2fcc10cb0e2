"""Audio for tests, and the comparison of words."""

import array
import math
import re
from functools import cache
from itertools import pairwise

from speech.audio.encoding import Encoder, encoded
from speech.base import SAMPLE_RATE, AudioFormat

PITCH = 440


def tone(seconds: float, rate: int = SAMPLE_RATE) -> bytes:
    """Return a sine tone as 16-bit samples."""
    step = 2 * math.pi * PITCH / rate
    return array.array("h", (int(8_000 * math.sin(step * place)) for place in range(int(rate * seconds)))).tobytes()


def silence(seconds: float, rate: int = SAMPLE_RATE) -> bytes:
    return bytes(int(rate * seconds) * 2)


def recording(format_: AudioFormat, seconds: float = 1.0) -> bytes:
    """Return a sine tone as a file."""
    return encoded(tone(seconds), format_)


@cache
def long_silence(hours: float, format_: AudioFormat = "flac", rate: int = 8_000) -> bytes:
    """Return hours of silence in few bytes."""
    encoder = Encoder(format_, rate=rate)
    minute = bytes(rate * 60 * 2)
    return b"".join([*(encoder.add(minute) for _ in range(int(hours * 60))), encoder.end()])


def pitch(pcm: bytes, rate: int = SAMPLE_RATE) -> float:
    """Measure the pitch of a tone in hertz by its zero crossings, without its edges."""
    every = array.array("h", pcm)
    samples = every[len(every) // 5 : -len(every) // 5]
    rises = sum(1 for before, after in pairwise(samples) if before < 0 <= after)
    return rises / (len(samples) / rate)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def accuracy(said: str, transcript: str) -> float:
    """Return the share of correct words: 1 less the word error rate (edit distance over words)."""
    wanted, found = words(said), words(transcript)
    row = list(range(len(found) + 1))
    for place, word in enumerate(wanted, 1):
        before, row[0] = row[0], place
        for other, candidate in enumerate(found, 1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (word != candidate))
    return 1 - row[-1] / max(1, len(wanted))
