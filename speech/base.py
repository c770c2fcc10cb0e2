"""What speech is made of, and the interface of a provider.

SpeechError           the one failure: what was wrong, whose it was, and whether trying again can help
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar, Final, Literal

import msgspec

from speech.languages import Languages

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
AudioKind = Literal["wav", "mp3", "flac", "ogg", "aac", "webm", "mp4", "pcm"]
Part = Literal["transcription", "synthesis"]
ErrorCode = Literal[
    "disabled",
    "unknown_provider",
    "provider_not_configured",
    "unsupported",
    "unknown_model",
    "unknown_voice",
    "unknown_language",
    "unknown_format",
    "invalid_speed",
    "invalid_text",
    "invalid_base64",
    "invalid_audio",
    "text_too_long",
    "audio_too_long",
    "audio_too_large",
    "budget_exceeded",
    "price_unknown",
    "busy",
    "provider_unavailable",
    "provider_timeout",
    "provider_rate_limited",
    "provider_auth",
    "provider_rejected",
    "provider_protocol",
]

FORMATS: Final[tuple[AudioFormat, ...]] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
KINDS: Final[tuple[AudioKind, ...]] = ("wav", "mp3", "flac", "ogg", "aac", "webm", "mp4", "pcm")
MEDIA_TYPES: Final[dict[AudioFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm; rate=24000",
}
SAMPLE_RATE: Final = 24_000
"""Samples a second of all audio that is made here: 16 bits, signed, little-endian, one channel."""

SAMPLE_BYTES: Final = 2
SPEEDS: Final = (0.25, 4.0)
PROVIDER_FAILURES: Final = frozenset({"busy", "unsupported", "provider_not_configured"})


class SpeechError(Exception):
    """`provider` is who failed; it is empty where what the caller asked for was wrong."""

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        retryable: bool = False,
        provider: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}" if provider else message)
        self.code: ErrorCode = code
        self.retryable = retryable
        self.provider = provider
        self.retry_after = retry_after

    @property
    def others_may_succeed(self) -> bool:
        """Whether it is the provider's failure, and not the caller's."""
        return self.code.startswith("provider_") or self.code in PROVIDER_FAILURES


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: until there is a connection, until the answer begins, and between two pieces of it."""

    connect: float
    first_byte: float
    idle: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech: `start` and `end` in seconds from the beginning."""

    start: float
    end: float
    text: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Audio that is to be transcribed: what its bytes are, and how many `seconds` it lasts, if that was measured.

    Where the provider wants `pieces`, they are the same audio.
    """

    audio: bytes
    kind: AudioKind
    seconds: float | None
    model: str
    language: str | None
    pieces: "tuple[Piece, ...]" = ()


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a recording as a FLAC file of 16 kHz, `start` seconds from the beginning."""

    audio: bytes
    start: float
    seconds: float


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """What was said; an empty text for silence. `segments` are empty where the model tells no times."""

    text: str
    language: str | None
    segments: tuple[Segment, ...] = ()
    seconds: float | None = None


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, in `pieces` that the provider takes each at once, and how.

    Of a `whole` file the length may stand at its beginning, for it is not sent before its end.
    """

    pieces: tuple[str, ...]
    model: str
    voice: str
    format: AudioFormat
    speed: float
    whole: bool = False


class Provider(ABC):
    """Turns audio to text, text to audio, or both. What it can do is told by flags, and looked at before it is asked.

    It makes the `formats` at `own_speeds` itself, for a text that is one piece of at most `max_characters`; everything
    else is made here of PCM, which is among its formats.
    """

    name: ClassVar[str]
    transcribes: ClassVar[bool] = False
    synthesizes: ClassVar[bool] = False
    tells_times: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    leaves_machine: ClassVar[bool] = True
    measures_audio: ClassVar[bool] = False
    languages: ClassVar[Languages] = {}

    stt_models: tuple[str, ...] = ()
    tts_models: tuple[str, ...] = ()
    any_model: bool = False
    formats: tuple[AudioFormat, ...] = ("pcm",)
    own_speeds: tuple[float, float] = (1.0, 1.0)
    max_characters: int = 0

    @abstractmethod
    def voices(self, model: str) -> tuple[str, ...]:
        """The voices that a model has, the default one first."""

    def knows_voice(self, voice: str, model: str) -> bool:
        return voice in self.voices(model)

    def model_of(self, voice: str, model: str) -> str:
        """The model that speaks, where a voice implies it."""
        return model

    def speeds(self, model: str) -> tuple[float, float]:
        """The slowest and the fastest that the model itself speaks."""
        return self.own_speeds

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        """How long the pieces of a recording may be; None where it takes audio of this kind and size as it is."""
        return None

    async def transcribe(self, recording: Recording) -> Transcript:
        """What was said. Raises `SpeechError`."""
        raise NotImplementedError

    def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        """The audio as it is made. Raises `SpeechError`."""
        raise NotImplementedError
