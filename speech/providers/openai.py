"""OpenAI's audio endpoints, and compatible services.

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
# Only these models accept `response_format=verbose_json`, which has the times of segments.
TIMED: Final = frozenset({"whisper-1"})

TTS_VOICES: Final = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
MORE_VOICES: Final = (*TTS_VOICES, "ballad", "cedar", "marin", "verse")
VOICES: Final = {"tts-1": TTS_VOICES, "tts-1-hd": TTS_VOICES, "gpt-4o-mini-tts": MORE_VOICES}
# These models ignore `speed`, so the service changes the speed itself.
FIXED_SPEED: Final = frozenset({"gpt-4o-mini-tts"})

ACCEPTED_KINDS: Final = frozenset({"wav", "mp3", "flac", "ogg", "webm", "mp4"})
MAX_BYTES: Final = 25 * 2**20
MAX_CHARACTERS: Final = 4_096
# A FLAC file of 16 kHz and this length is smaller than `MAX_BYTES` even if nothing can be compressed, as with noise.
PIECE_SECONDS: Final = 800


class OpenAI(Provider):
    """OpenAI or a compatible service, which is asked for models that are not listed here if `any_model` is set."""

    transcribes = True
    synthesizes = True
    has_timestamps = True
    streams = True
    languages: ClassVar[Languages] = WHISPER

    def __init__(
        self,
        *,
        name: str = "openai",
        api_key: str,
        key_header: str = "authorization",
        base_url: str,
        timeouts: Timeouts,
        any_model: bool,
    ) -> None:
        self.name = name
        self.stt_models = STT_MODELS
        self.tts_models = tuple(VOICES)
        self.formats = FORMATS
        self.any_model = any_model
        self.max_characters = MAX_CHARACTERS
        headers = {"api-key": api_key} if key_header == "api-key" else {"Authorization": f"Bearer {api_key}"}
        self._headers = headers if api_key else {}
        self._vendor = Vendor(base_url, timeouts=timeouts, secrets=(api_key,))

    def voices(self, model: str) -> tuple[str, ...]:
        return VOICES.get(model, MORE_VOICES)

    def knows_voice(self, voice: str, model: str) -> bool:
        return voice in self.voices(model) or (self.any_model and model not in VOICES)

    def speeds(self, model: str) -> tuple[float, float]:
        return (1.0, 1.0) if model in FIXED_SPEED else SPEEDS

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        return None if kind in ACCEPTED_KINDS and size <= MAX_BYTES else PIECE_SECONDS

    async def transcribe(self, recording: Recording) -> Transcript:
        if not recording.pieces:
            return await self._transcribe(recording, recording.audio, recording.kind, 0.0)
        parts = [await self._transcribe(recording, piece.audio, "flac", piece.start) for piece in recording.pieces]
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

    async def _transcribe(self, recording: Recording, audio: bytes, kind: AudioKind, start: float) -> Transcript:
        form = aiohttp.FormData()
        form.add_field("file", audio, filename=f"audio.{kind}", content_type=MEDIA_TYPES[kind])
        form.add_field("model", recording.model)
        form.add_field("response_format", "verbose_json" if recording.model in TIMED else "json")
        if recording.language:
            # The API takes ISO 639-1 codes, without a region.
            form.add_field("language", parse(recording.language).language)
        body = await self._vendor.json("/audio/transcriptions", data=form, headers=self._headers)
        try:
            answer = msgspec.json.decode(body, type=_Transcription)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"the answer is not a transcription ({error})"
            raise SpeechError(message, code="provider_protocol", retryable=True) from None
        segments = tuple(
            Segment(start=round(start + each.start, 2), end=round(start + each.end, 2), text=each.text.strip())
            for each in answer.segments
        )
        language = code_of(answer.language) or (parse(recording.language).language if recording.language else None)
        return Transcript(text=answer.text.strip(), language=language, segments=segments, seconds=answer.duration)


class _Timed(msgspec.Struct, frozen=True):
    start: float
    end: float
    text: str


class _Transcription(msgspec.Struct, frozen=True):
    text: str
    language: str | None = None
    duration: float | None = None
    segments: tuple[_Timed, ...] = ()
