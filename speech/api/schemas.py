"""What the speech API takes and gives."""

from typing import Any, Final

from ninja import Field, Schema
from pydantic import ConfigDict

from speech.base import FORMATS, MEDIA_TYPES


class PartOut(Schema):
    """What a provider has for one direction, the default model first. `voices` are by model."""

    models: list[str]
    default_model: str
    formats: list[str]
    languages: list[str] = []
    voices: dict[str, list[str]] = {}
    default_voice: str | None = None


class SpeechProviderOut(Schema):
    """A provider: whether it is configured, and if not why. `streams`: audio comes before all of it is made."""

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
    """The providers; `enabled` is false where `ENABLE_SPEECH` is, and `limits` are the settings of that name."""

    items: list[SpeechProviderOut]
    count: int
    enabled: bool
    limits: dict[str, float]


class SegmentOut(Schema):
    """A stretch of speech, in seconds."""

    start: float
    end: float
    text: str


class TranscriptionOut(Schema):
    """What was said: an empty text for silence."""

    text: str
    language: str | None
    duration: float | None
    segments: list[SegmentOut]
    provider: str
    model: str
    cost_usd: float | None
    note: str | None


class SynthesisIn(Schema):
    """What is to be said, and how."""

    model_config = ConfigDict(extra="forbid")

    text: str
    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    format: str = Field("mp3", description=f"One of {', '.join(FORMATS)}.")
    speed: float = Field(1.0, description="0.25 to 4; faster or slower at the same pitch.")


class TranscriptionFields(Schema):
    """What may stand beside the file, or in the query beside raw audio."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = None
    model: str | None = None
    language: str | None = Field(None, description="ISO 639-1 code or BCP 47 tag; recognised where it is left out.")
    format: str | None = Field(None, description="What the audio is; needed for pcm alone.")


FIELDS: Final = TranscriptionFields.model_json_schema()["properties"]
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
            "description": "The audio, as it is made. Where it fails on the way, the connection is cut.",
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()
            },
        }
    }
}
