"""The types of the speech app and the interface of a provider. Every failure is a `SpeechError`."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar, Final, Literal, get_args

import msgspec

from speech.languages import Languages

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
AudioKind = Literal[
    "wav", "mp3", "flac", "ogg", "aac", "webm", "mp4", "mp2", "ac3", "eac3", "amr", "aiff", "au", "caf", "wma", "pcm"
]
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
KINDS: Final[tuple[AudioKind, ...]] = get_args(AudioKind)
MEDIA_TYPES: Final[dict[AudioFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm; rate=24000",
}
# All audio that this service encodes: 16 bits, signed, little-endian, one channel. It is the vendors' rate for PCM.
SAMPLE_RATE: Final = 24_000

SAMPLE_BYTES: Final = 2
SPEEDS: Final = (0.25, 4.0)
PROVIDER_FAILURES: Final = frozenset({"busy", "unsupported", "provider_not_configured"})


class SpeechError(Exception):
    """A failed request. `provider` names the provider that failed; it is empty if the request itself was wrong."""

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
        """True if the provider failed, and not the caller."""
        return self.code.startswith("provider_") or self.code in PROVIDER_FAILURES


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds: until the connection is open, until the answer begins, and between two pieces of it."""

    connect: float
    first_byte: float
    idle: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech: `start` and `end` in seconds from the beginning."""

    start: float
    end: float
    text: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Audio to transcribe. `seconds` is its length if it was measured.

    `pieces` hold the same audio if the provider needs it in pieces.
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
    """A transcribed recording. `text` is empty for silence; `segments` are empty if the model gives no timestamps."""

    text: str
    language: str | None
    segments: tuple[Segment, ...] = ()
    seconds: float | None = None


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """A text to synthesize, in `pieces` of which each fits into one request to the provider."""

    pieces: tuple[str, ...]
    model: str
    voice: str
    format: AudioFormat
    speed: float
    # A whole file is sent at its end, so its header can hold the length. A streamed file declares it unknown.
    whole: bool = False


class Provider(ABC):
    """A provider of transcription, synthesis, or both. Its flags are checked before a request is sent."""

    name: str
    transcribes: ClassVar[bool] = False
    synthesizes: ClassVar[bool] = False
    has_timestamps: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    leaves_machine: ClassVar[bool] = True
    measures_audio: ClassVar[bool] = False
    languages: ClassVar[Languages] = {}

    stt_models: tuple[str, ...] = ()
    tts_models: tuple[str, ...] = ()
    any_model: bool = False
    # The provider itself makes these formats at these speeds, for a text of one piece. Everything else is encoded on
    # this machine from PCM. That is why each provider has PCM among its formats.
    formats: tuple[AudioFormat, ...] = ("pcm",)
    own_speeds: tuple[float, float] = (1.0, 1.0)
    max_characters: int = 0

    @abstractmethod
    def voices(self, model: str) -> tuple[str, ...]:
        """Return the voices of a model, the default one first."""

    def knows_voice(self, voice: str, model: str) -> bool:
        return voice in self.voices(model)

    def model_of(self, voice: str, model: str) -> str:
        """Return the model that a voice belongs to if the voice implies one, or `model`."""
        return model

    def speeds(self, model: str) -> tuple[float, float]:
        """Return the slowest and the fastest speed that the model itself supports."""
        return self.own_speeds

    def piece_seconds(self, kind: AudioKind, size: int) -> float | None:
        """Return the longest piece in seconds, or None if the provider accepts audio of this kind and size as it is."""
        return None

    async def transcribe(self, recording: Recording) -> Transcript:
        """Return the transcript. Raises `SpeechError`."""
        raise NotImplementedError

    def synthesize(self, utterance: Utterance) -> AsyncGenerator[bytes]:
        """Yield the audio as it arrives. Raises `SpeechError`."""
        raise NotImplementedError
