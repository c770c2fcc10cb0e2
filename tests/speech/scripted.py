"""A speech provider in the process of the test."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from speech.audio.limits import Limits
from speech.base import Provider, Recording, SpeechError, Transcript, Utterance
from speech.providers.registry import Entry, SpeechProviderRegistry
from speech.selection import Defaults
from speech.service import SpeechService
from tests.speech.conftest import CHECKERS
from tests.speech.recordings import tone


class Scripted(Provider):
    """A provider that answers at once, or when `gate` is open, and records its requests."""

    name = "scripted"
    transcribes = True
    synthesizes = True
    languages: ClassVar[Any] = {"en": ("en",)}
    stt_models = ("ears",)
    tts_models = ("voice",)
    max_characters = 1_000
    measures_audio = True

    def __init__(self, *, leaves_machine: bool = False) -> None:
        self.received: list[int] = []
        self.spoken: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: SpeechError | None = None
        self.leaves_machine = leaves_machine

    def voices(self, model: str) -> tuple[str, ...]:
        return ("voice",)

    async def transcribe(self, recording: Recording) -> Transcript:
        self.received.append(len(recording.audio))
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return Transcript(text=f"take {len(self.received)}", language="en", seconds=1.0)

    async def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        self.spoken += utterance.pieces
        await self.gate.wait()
        if self.failure:
            raise self.failure
        yield tone(0.1)


def service_of(provider: Provider) -> SpeechService:
    return SpeechService(
        providers=SpeechProviderRegistry([Entry(name="scripted", make=lambda: provider)], default="scripted"),
        limits=Limits(),
        checkers=CHECKERS,
        defaults=Defaults(stt_model="ears", tts_model="voice", voice="voice"),
    )
