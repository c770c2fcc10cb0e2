"""Google Cloud Speech-to-Text and Text-to-Speech, over REST.

https://cloud.google.com/speech-to-text/docs/reference/rest/v1/speech/recognize and
https://cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize
"""

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar, Final

import msgspec

from speech.base import (
    SAMPLE_RATE,
    AudioFormat,
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
from speech.languages import GOOGLE, Languages, code_of, parse
from speech.providers.google_credentials import Headers
from speech.providers.http import Vendor

STT_MODELS: Final = ("latest_long", "latest_short", "telephony", "telephony_short", "command_and_search", "default")
DEFAULT_LANGUAGE: Final = "en"
# Each family of voices is a model here. There are hundreds of voices, so the list has a few of each family. A voice
# that is not listed is accepted if its name has the form of `VOICE_NAME`.
FAMILIES: Final = {
    "neural2": ("en-US-Neural2-C", "en-US-Neural2-D", "en-GB-Neural2-A", "de-DE-Neural2-G", "fr-FR-Neural2-F"),
    "standard": ("en-US-Standard-C", "en-US-Standard-D", "en-GB-Standard-A", "de-DE-Standard-G", "fr-FR-Standard-F"),
    "wavenet": ("en-US-Wavenet-F", "en-US-Wavenet-D", "en-GB-Wavenet-A", "de-DE-Wavenet-G", "fr-FR-Wavenet-F"),
    "studio": ("en-US-Studio-O", "en-US-Studio-Q", "en-GB-Studio-C"),
    "chirp3-hd": ("en-US-Chirp3-HD-Kore", "en-US-Chirp3-HD-Puck", "en-GB-Chirp3-HD-Kore", "de-DE-Chirp3-HD-Kore"),
}

VOICE_NAME: Final = re.compile(r"([a-z]{2,3}-[A-Z]{2})-(Neural2|Standard|Wavenet|Studio|Chirp3-HD)-[A-Za-z]+")
ENCODINGS: Final[dict[AudioFormat, str]] = {"mp3": "MP3", "opus": "OGG_OPUS", "wav": "LINEAR16", "pcm": "LINEAR16"}
# `LINEAR16` audio begins with the header of a WAV file. This is the number of bytes to search for its data chunk.
MAX_WAV_HEADER: Final = 200

SPEEDS: Final = (0.25, 2.0)
# A synchronous request accepts at most a minute of audio.
PIECE_SECONDS: Final = 55
# The limit applies to the text as UTF-8, in which a character has up to four bytes.
MAX_BYTES: Final = 5_000
MAX_CHARACTERS: Final = MAX_BYTES // 4


class Google(Provider):
    """Google's two speech services. `headers` authenticate each request."""

    name = "google"
    transcribes = True
    synthesizes = True
    has_timestamps = True
    languages: ClassVar[Languages] = GOOGLE

    def __init__(
        self, *, headers: Headers, stt_url: str, tts_url: str, timeouts: Timeouts, secrets: tuple[str, ...] = ()
    ) -> None:
        self.stt_models = STT_MODELS
        self.tts_models = tuple(FAMILIES)
        self.formats = tuple(ENCODINGS)
        self.own_speeds = SPEEDS
        self.max_characters = MAX_CHARACTERS
        self._headers = headers
        self._stt = Vendor(stt_url, timeouts=timeouts, secrets=secrets)
        self._tts = Vendor(tts_url, timeouts=timeouts, secrets=secrets)

    def voices(self, model: str) -> tuple[str, ...]:
        return FAMILIES[model]

    def knows_voice(self, voice: str, model: str) -> bool:
        return VOICE_NAME.fullmatch(voice) is not None

    def model_of(self, voice: str, model: str) -> str:
        found = VOICE_NAME.fullmatch(voice)
        return found[2].lower() if found else model

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        return PIECE_SECONDS

    async def transcribe(self, recording: Recording) -> Transcript:
        parts = [await self._recognize(recording, piece) for piece in recording.pieces]
        segments = tuple(segment for part in parts for segment in part.segments)
        language = next((part.language for part in parts if part.language), code_of(recording.language))
        return Transcript(text=" ".join(each.text for each in segments), language=language, segments=segments)

    async def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        """Send one request for each piece, and yield each answer as a whole."""
        language = "-".join(utterance.voice.split("-")[:2])
        for piece in utterance.pieces:
            body = {
                "input": {"text": piece},
                "voice": {"languageCode": language, "name": utterance.voice},
                "audioConfig": {
                    "audioEncoding": ENCODINGS[utterance.format],
                    "speakingRate": utterance.speed,
                    "sampleRateHertz": SAMPLE_RATE,
                },
            }
            answer = await self._tts.json("/text:synthesize", json=body, headers=await self._headers())
            try:
                audio = base64.b64decode(_decoded(answer, _Synthesized).audio, validate=True)
            except (binascii.Error, ValueError):
                raise SpeechError("the audio is not base64", code="provider_protocol", retryable=True) from None
            if utterance.format == "pcm" and audio.startswith(b"RIFF"):
                # Samples begin after the name and the size of the data chunk. Without one, the answer is yielded whole.
                place = audio.find(b"data", 0, MAX_WAV_HEADER)
                audio = audio[place + 8 :] if place > 0 else audio
            yield audio

    async def _recognize(self, recording: Recording, piece: Piece) -> Transcript:
        tag = parse(recording.language or DEFAULT_LANGUAGE)
        body = {
            "config": {
                "encoding": "FLAC",
                # The API requires a region. A tag without one gets the most common region of its language.
                "languageCode": f"{tag.language}-{tag.rest}" if tag.rest else GOOGLE[tag.language],
                "model": recording.model,
                "enableAutomaticPunctuation": True,
                "enableWordTimeOffsets": True,
            },
            "audio": {"content": base64.b64encode(piece.audio).decode()},
        }
        answer = await self._stt.json("/speech:recognize", json=body, headers=await self._headers())
        results = _decoded(answer, _Recognized).results
        language = next((code_of(result.language) for result in results if result.language), None)
        return Transcript(text="", language=language, segments=tuple(_segments(results, piece.start)))


class _Word(msgspec.Struct, frozen=True):
    start: str = msgspec.field(name="startTime", default="0s")
    end: str = msgspec.field(name="endTime", default="0s")


class _Alternative(msgspec.Struct, frozen=True):
    transcript: str = ""
    words: tuple[_Word, ...] = ()


class _Result(msgspec.Struct, frozen=True):
    alternatives: tuple[_Alternative, ...] = ()
    end: str = msgspec.field(name="resultEndTime", default="0s")
    language: str | None = msgspec.field(name="languageCode", default=None)


class _Recognized(msgspec.Struct, frozen=True):
    results: tuple[_Result, ...] = ()


class _Synthesized(msgspec.Struct, frozen=True):
    audio: str = msgspec.field(name="audioContent")


def _segments(results: Sequence[_Result], start: float) -> list[Segment]:
    """Return the most likely alternative of each result as a segment."""
    found: list[Segment] = []
    before = 0.0
    for result in results:
        best = result.alternatives[0] if result.alternatives else _Alternative()
        # Without word times, a result begins at the end of the one before.
        begins = _seconds(best.words[0].start) if best.words else before
        before = _seconds(best.words[-1].end) if best.words else _seconds(result.end)
        if best.transcript.strip():
            times = {"start": round(start + begins, 2), "end": round(start + before, 2)}
            found.append(Segment(**times, text=best.transcript.strip()))
    return found


def _seconds(duration: str) -> float:
    """Parse a duration such as `1.300s` (https://protobuf.dev/reference/protobuf/google.protobuf/#duration)."""
    try:
        return float(duration.removesuffix("s"))
    except ValueError:
        raise SpeechError(f"{duration[:40]!r} is not a time", code="provider_protocol") from None


def _decoded(answer: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the answer has an unexpected form ({error})"
        raise SpeechError(message, code="provider_protocol", retryable=True) from None
