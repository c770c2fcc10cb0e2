"""A recording in pieces, cut where it is quietest."""

from collections.abc import Iterator
from typing import Final

from speech.audio.decoding import Decoder
from speech.audio.encoding import encoded
from speech.base import SAMPLE_BYTES
from speech.worker.messages import Cut
from speech.worker.models import WHISPER_RATE, loudness

SEARCHED_SECONDS: Final = 8
"""At the end of each piece, for the best place to cut."""

WINDOW_SECONDS: Final = 0.2
SECOND: Final = WHISPER_RATE * SAMPLE_BYTES
WINDOW: Final = int(SECOND * WINDOW_SECONDS)


def cuts(decoder: Decoder, most_seconds: float) -> Iterator[Cut]:
    """Pieces of at most so many seconds. Raises what the decoder raises."""
    most = int(most_seconds) * SECOND
    held = bytearray()
    start = 0
    for block in decoder.blocks():
        held += block
        while len(held) > most:
            size = _quietest(held, most)
            yield _cut(held[:size], start)
            start += size
            del held[:size]
    if held:
        yield _cut(held, start)


def _cut(pcm: bytearray, start: int) -> Cut:
    audio = encoded(bytes(pcm), "flac", WHISPER_RATE)
    return Cut(audio=audio, start=start / SECOND, seconds=len(pcm) / SECOND)


def _quietest(pcm: bytearray, most: int) -> int:
    """Where to cut: amid the quietest stretch of the last seconds before `most` bytes."""
    first = max(0, most - SEARCHED_SECONDS * SECOND)
    places = range(first, most - WINDOW + 1, WINDOW // 2)
    place = min(places, key=lambda at: loudness(pcm[at : at + WINDOW]))
    middle = place + WINDOW // 2
    return middle - middle % SAMPLE_BYTES
