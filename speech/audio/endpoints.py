"""The detection of the beginning and the end of speech in samples, by their loudness."""

import array
import sys
from typing import Final, Literal

from speech.base import SAMPLE_BYTES

WINDOW_SECONDS: Final = 0.02
"""Speech is judged in windows of this length."""

MIN_LEVEL: Final = 300.0
"""The mean magnitude of 16-bit samples above which a window is loud. Quiet rooms have below 100, voices above 1,000."""

NOISE_FACTOR: Final = 3.0
"""A window must be this much louder than the background, whose level is measured between utterances."""

NOISE_WEIGHT: Final = 0.05
"""The weight of a new window in the level of the background."""

START_WINDOWS: Final = 3
"""Loud windows in a row that begin an utterance. A click is shorter."""

SILENCE_SECONDS: Final = 0.8
"""Silence that ends an utterance. Pauses within a sentence are shorter."""

Change = Literal["started", "ended"]


class EndpointDetector:
    """Follows 16-bit little-endian samples of one channel, and reports where speech begins and ends."""

    def __init__(self, rate: int) -> None:
        self.is_speaking = False
        self._window = int(rate * WINDOW_SECONDS) * SAMPLE_BYTES
        self._max_quiet = round(SILENCE_SECONDS / WINDOW_SECONDS)
        self._background = 0.0
        self._loud = self._quiet = 0

    @property
    def window_bytes(self) -> int:
        return self._window

    def take(self, window: bytes) -> Change | None:
        """Take the next window, of `window_bytes`, and return the change that it makes."""
        level = _level(window)
        is_loud = level > max(MIN_LEVEL, NOISE_FACTOR * self._background)
        if self.is_speaking:
            self._quiet = 0 if is_loud else self._quiet + 1
            if self._quiet < self._max_quiet:
                return None
            self.reset()
            return "ended"
        self._loud = self._loud + 1 if is_loud else 0
        if not is_loud:
            self._background += NOISE_WEIGHT * (level - self._background)
        if self._loud < START_WINDOWS:
            return None
        self.is_speaking = True
        return "started"

    def reset(self) -> None:
        """Begin again, with silence. The level of the background stays."""
        self.is_speaking = False
        self._loud = self._quiet = 0


def _level(window: bytes) -> float:
    samples = array.array("h", window)
    if sys.byteorder == "big":
        samples.byteswap()
    return sum(map(abs, samples)) / max(1, len(samples))
