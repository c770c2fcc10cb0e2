"""The request and response schemas of the speech API."""

from typing import Any, Final, Literal

from ninja import Field, Schema
from pydantic import AliasChoices, ConfigDict

from speech.base import FORMATS, MEDIA_TYPES


class PartOut(Schema):
    """The models of a provider for one direction, the default one first. `voices` are by model."""

    models: list[str]
    default_model: str
    formats: list[str]
    languages: list[str] = []
    voices: dict[str, list[str]] = {}
    default_voice: str | None = None


class SpeechProviderOut(Schema):
    """A provider. `reason` is set if it is not configured. `streams`: audio arrives before all of it is made."""

    name: str
    configured: bool
    reason: str | None
    default: bool
    leaves_machine: bool
    streams: bool
    segments: bool
    speed: list[float]
    transcription: PartOut | None
    synthesis: PartOut | None


class SpeechProviderList(Schema):
    """The providers, the value of `ENABLE_SPEECH`, and the limits from the settings."""

    items: list[SpeechProviderOut]
    count: int
    enabled: bool
    limits: dict[str, float]


class SegmentOut(Schema):
    """A stretch of speech; `start` and `end` are in seconds."""

    start: float
    end: float
    text: str


class TranscriptionOut(Schema):
    """A transcribed recording. The text is empty for silence."""

    text: str
    language: str | None
    duration: float | None
    segments: list[SegmentOut]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


WITHOUT_EFFECT: Final = {
    "prompt",
    "temperature",
    "response_format",
    "stream",
    "granularities",
    "instructions",
    "stream_format",
}
"""Fields of OpenAI's API that its clients send, and that change nothing here."""


class SynthesisIn(Schema):
    """A text to synthesize."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(validation_alias=AliasChoices("text", "input"), description="`input` is another name of it.")
    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    format: str = Field(
        "mp3",
        validation_alias=AliasChoices("format", "response_format"),
        description=f"One of {', '.join(FORMATS)}. `response_format` is another name of it.",
    )
    speed: float = Field(1.0, description="0.25 to 4; speed at the same pitch.")
    instructions: str | None = Field(None, description="Without effect.")
    stream_format: Literal["audio"] | None = Field(None, description="The answer is always audio.")


class TranscriptionFields(Schema):
    """The options of a transcription: form fields beside the file, or query parameters beside raw audio."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = None
    model: str | None = None
    language: str | None = Field(None, description="ISO 639-1 code or BCP 47 tag; detected if omitted.")
    format: str | None = Field(None, description="Format of the audio; required only for pcm.")
    prompt: str | None = Field(None, description="Without effect.")
    temperature: str | None = Field(None, description="Without effect.")
    response_format: Literal["json", "verbose_json", ""] | None = Field(None, description="The answer is the same.")
    stream: Literal["false", ""] | None = Field(None, description="The answer is not streamed.")
    granularities: Literal["segment", ""] | None = Field(
        None, alias="timestamp_granularities[]", description="Times are those of segments."
    )


FIELDS: Final = TranscriptionFields.model_json_schema()["properties"]
# Ninja cannot describe a body that is either a form or raw audio.
AUDIO_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}, **FIELDS},
                }
            },
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
AUDIO_ANSWER: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The audio, streamed as it is made. If it fails on the way, the connection is closed early.",
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()
            },
        }
    }
}
