"""The split of a recording into pieces, at its quietest places."""

from collections.abc import Iterator
from typing import Final

from speech.audio.decoding import Decoder
from speech.audio.encoding import encoded
from speech.base import SAMPLE_BYTES
from speech.worker.local_models import WHISPER_RATE, loudness
from speech.worker.protocol import AudioPiece

# The last seconds of a piece are searched for the quietest place, which is most likely a pause between words.
SEARCHED_SECONDS: Final = 8
WINDOW_SECONDS: Final = 0.2
SECOND: Final = WHISPER_RATE * SAMPLE_BYTES
WINDOW: Final = int(SECOND * WINDOW_SECONDS)


def parts(decoder: Decoder, max_seconds: float) -> Iterator[tuple[bytes, float]]:
    """Yield samples of at most `max_seconds`, and the second at which they begin. Raises what the decoder raises."""
    limit = int(max_seconds) * SECOND
    held = bytearray()
    start = 0
    for block in decoder.blocks():
        held += block
        while len(held) > limit:
            # Split in the middle of the quietest window, and never inside a sample.
            first = max(0, limit - SEARCHED_SECONDS * SECOND)
            windows = range(first, limit - WINDOW + 1, WINDOW // 2)
            middle = min(windows, key=lambda at: loudness(held[at : at + WINDOW])) + WINDOW // 2
            size = middle - middle % SAMPLE_BYTES
            yield bytes(held[:size]), start / SECOND
            start += size
            del held[:size]
    if held:
        yield bytes(held), start / SECOND


def pieces(decoder: Decoder, max_seconds: float) -> Iterator[AudioPiece]:
    """Yield the parts as FLAC files."""
    for pcm, start in parts(decoder, max_seconds):
        yield AudioPiece(audio=encoded(pcm, "flac", WHISPER_RATE), start=start, seconds=len(pcm) / SECOND)
