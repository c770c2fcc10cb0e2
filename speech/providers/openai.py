"""OpenAI's audio endpoints, and services that have the same.

https://platform.openai.com/docs/api-reference/audio
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final

import aiohttp
import msgspec

from speech.audio.detection import MEDIA_TYPES
from speech.base import (
    FORMATS,
    SPEEDS,
    AudioKind,
    Piece,
    Provider,
    Recording,
    Segment,
    SpeechError,
    Timeouts,
    Transcript,
    Utterance,
)
from speech.languages import WHISPER, Languages, code_of, parse
from speech.providers.http import Vendor

STT_MODELS: Final = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")
TIMED: Final = frozenset({"whisper-1"})
"""Models that tell the times of segments (`response_format=verbose_json`)."""

TTS_VOICES: Final = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
MORE_VOICES: Final = (*TTS_VOICES, "ballad", "cedar", "marin", "verse")
VOICES: Final = {"tts-1": TTS_VOICES, "tts-1-hd": TTS_VOICES, "gpt-4o-mini-tts": MORE_VOICES}
UNHURRIED: Final = frozenset({"gpt-4o-mini-tts"})
"""Models that pay no regard to `speed`."""

TAKEN: Final = frozenset({"wav", "mp3", "flac", "ogg", "webm", "mp4"})
MAX_BYTES: Final = 25 * 2**20
MAX_CHARACTERS: Final = 4_096
PIECE_SECONDS: Final = 1_200
"""Of FLAC, less than `MAX_BYTES` whatever is in it."""


class OpenAI(Provider):
    """Whisper and its successors, and the voices. `any_model` where it is not OpenAI's own service."""

    name = "openai"
    transcribes = True
    synthesizes = True
    has_timestamps = True
    streams = True
    languages: ClassVar[Languages] = WHISPER

    def __init__(self, *, api_key: str, base_url: str, timeouts: Timeouts, any_model: bool) -> None:
        self.stt_models = STT_MODELS
        self.tts_models = tuple(VOICES)
        self.formats = FORMATS
        self.any_model = any_model
        self.max_characters = MAX_CHARACTERS
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._vendor = Vendor(base_url, timeouts=timeouts, secrets=(api_key,))

    def voices(self, model: str) -> tuple[str, ...]:
        return VOICES.get(model, MORE_VOICES)

    def knows_voice(self, voice: str, model: str) -> bool:
        return voice in self.voices(model) or (self.any_model and model not in VOICES)

    def speeds(self, model: str) -> tuple[float, float]:
        return (1.0, 1.0) if model in UNHURRIED else SPEEDS

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        return None if kind in TAKEN and size <= MAX_BYTES else PIECE_SECONDS

    async def transcribe(self, recording: Recording) -> Transcript:
        if not recording.pieces:
            return await self._transcribe(recording, recording.audio, recording.kind, 0.0)
        parts = [await self._transcribe_piece(recording, piece) for piece in recording.pieces]
        return Transcript(
            text=" ".join(part.text for part in parts if part.text),
            language=parts[0].language,
            segments=tuple(segment for part in parts for segment in part.segments),
        )

    async def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        for piece in utterance.pieces:
            body = {
                "model": utterance.model,
                "input": piece,
                "voice": utterance.voice,
                "response_format": utterance.format,
                "speed": utterance.speed,
            }
            async with aclosing(self._vendor.stream("/audio/speech", json=body, headers=self._headers)) as audio:
                async for chunk in audio:
                    yield chunk

    async def _transcribe_piece(self, recording: Recording, piece: Piece) -> Transcript:
        return await self._transcribe(recording, piece.audio, "flac", piece.start)

    async def _transcribe(self, recording: Recording, audio: bytes, kind: AudioKind, start: float) -> Transcript:
        form = aiohttp.FormData()
        form.add_field("file", audio, filename=f"audio.{kind}", content_type=MEDIA_TYPES[kind])
        form.add_field("model", recording.model)
        form.add_field("response_format", "verbose_json" if recording.model in TIMED else "json")
        if recording.language:
            form.add_field("language", parse(recording.language).language)
        told = _read(await self._vendor.json("/audio/transcriptions", data=form, headers=self._headers))
        segments = tuple(
            Segment(start=round(start + each.start, 2), end=round(start + each.end, 2), text=each.text.strip())
            for each in told.segments
        )
        language = code_of(told.language) or (parse(recording.language).language if recording.language else None)
        return Transcript(text=told.text.strip(), language=language, segments=segments, seconds=told.duration)


class _Timed(msgspec.Struct, frozen=True):
    start: float
    end: float
    text: str


class _Transcription(msgspec.Struct, frozen=True):
    text: str
    language: str | None = None
    duration: float | None = None
    segments: tuple[_Timed, ...] = ()


def _read(body: bytes) -> _Transcription:
    try:
        return msgspec.json.decode(body, type=_Transcription)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the answer is not a transcription ({error})"
        raise SpeechError(message, code="provider_protocol", retryable=True) from None
