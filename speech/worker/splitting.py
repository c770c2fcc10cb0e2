"""A recording in pieces, cut where it is quietest."""

from collections.abc import Iterator
from typing import Final

from speech.audio.decoding import Decoder
from speech.audio.encoding import encoded
from speech.base import SAMPLE_BYTES
from speech.worker.local_models import WHISPER_RATE, loudness
from speech.worker.protocol import AudioPiece

SEARCHED_SECONDS: Final = 8
"""At the end of each piece, for the best place to cut."""

WINDOW_SECONDS: Final = 0.2
SECOND: Final = WHISPER_RATE * SAMPLE_BYTES
WINDOW: Final = int(SECOND * WINDOW_SECONDS)


def parts(decoder: Decoder, max_seconds: float) -> Iterator[tuple[bytes, float]]:
    """Samples of at most so many seconds, and the second at which they begin. Raises what the decoder raises."""
    most = int(max_seconds) * SECOND
    held = bytearray()
    start = 0
    for block in decoder.blocks():
        held += block
        while len(held) > most:
            size = _quietest(held, most)
            yield bytes(held[:size]), start / SECOND
            start += size
            del held[:size]
    if held:
        yield bytes(held), start / SECOND


def cuts(decoder: Decoder, max_seconds: float) -> Iterator[AudioPiece]:
    """The same as files."""
    for pcm, start in parts(decoder, max_seconds):
        yield AudioPiece(audio=encoded(pcm, "flac", WHISPER_RATE), start=start, seconds=len(pcm) / SECOND)


def _quietest(pcm: bytearray, most: int) -> int:
    """Where to cut: amid the quietest stretch of the last seconds before `most` bytes."""
    first = max(0, most - SEARCHED_SECONDS * SECOND)
    places = range(first, most - WINDOW + 1, WINDOW // 2)
    place = min(places, key=lambda at: loudness(pcm[at : at + WINDOW]))
    middle = place + WINDOW // 2
    return middle - middle % SAMPLE_BYTES
