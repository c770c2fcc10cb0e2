"""The provider of speech `beep`, which makes a tone for each word of a text."""

import math
from collections.abc import AsyncGenerator
from typing import ClassVar

from plugins.setting import Values
from speech.base import Provider, Timeouts, Utterance
from speech.providers.spec import SpeechSpec

RATE = 24_000
TONE_SECONDS = 0.1


class Beep(Provider):
    """A provider of PCM audio: 24 kHz, 16 bits, one channel. The service encodes other formats from it."""

    name = "beep"
    synthesizes = True
    streams = True
    leaves_machine: ClassVar[bool] = False
    tts_models = ("beep-1",)
    max_characters = 1_000

    def voices(self, model: str) -> tuple[str, ...]:
        return ("low", "high")

    async def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        hertz = 880 if utterance.voice == "high" else 440
        samples = range(int(RATE * TONE_SECONDS))
        wave = [round(8_000 * math.sin(2 * math.pi * hertz * sample / RATE)) for sample in samples]
        tone = b"".join(value.to_bytes(2, "little", signed=True) for value in wave)
        for piece in utterance.pieces:
            for _ in piece.split():
                yield tone


def make(values: Values, timeouts: Timeouts) -> Provider:
    """Return the provider."""
    return Beep()


SPEC = SpeechSpec(name="beep", make=make)
