"""The request and response schemas of the speech API."""

from typing import Any, Final, Literal

from ninja import Field, Schema
from pydantic import AliasChoices

from speech.base import FORMATS, MEDIA_TYPES
from web.schemas import Strict, response_headers


class PartOut(Schema):
    """The abilities of a provider in one direction."""

    models: list[str] = Field(description="The models, the default one first.")
    default_model: str = Field(description="The model that answers requests that name none.")
    formats: list[str] = Field(description="The audio formats that are accepted, or made.")
    languages: list[str] = Field(
        [], description="The languages of recordings. Empty if the provider names none, and for synthesis."
    )
    voices: dict[str, list[str]] = Field({}, description="The voices of each model. Empty for transcription.")
    default_voice: str | None = Field(None, description="The voice of requests that name none. Null for transcription.")


class SpeechProviderOut(Schema):
    """A provider of speech."""

    name: str = Field(description="The provider's name, for the field `provider` of a request.")
    configured: bool = Field(description="True if it can be used.")
    reason: str | None = Field(description="The reason why it is not configured. Null if it is.")
    default: bool = Field(description="True if it answers requests that name no provider.")
    leaves_machine: bool = Field(description="True if audio and text are sent to another machine.")
    streams: bool = Field(description="True if audio arrives before all of it is made.")
    segments: bool = Field(description="True if a transcription has the times of its segments.")
    speed: list[float] = Field(description="The slowest and the fastest speed. 1 is normal.")
    transcription: PartOut | None = Field(description="Its transcription. Null if it has none.")
    synthesis: PartOut | None = Field(description="Its synthesis. Null if it has none.")


class SpeechProviderList(Schema):
    """The providers of speech, and the limits of the service."""

    items: list[SpeechProviderOut] = Field(description="All providers.")
    count: int = Field(description="The number of providers.")
    enabled: bool = Field(description="The setting `ENABLE_SPEECH`.")
    limits: dict[str, float] = Field(
        description="The limits of one call: seconds and bytes of audio, characters of text, seconds of its duration."
    )


class SegmentOut(Schema):
    """A stretch of speech."""

    start: float = Field(description="The second at which it starts.")
    end: float = Field(description="The second at which it ends.")
    text: str = Field(description="Its text.")


class TranscriptionOut(Schema):
    """A transcribed recording."""

    text: str = Field(description="The text. Empty for silence.")
    language: str | None = Field(description="The language, as the provider reports it. Null if it reports none.")
    duration: float | None = Field(description="The length of the recording in seconds. Null if unknown.")
    segments: list[SegmentOut] = Field(description="The text with its times. Empty if the model reports no times.")
    provider: str = Field(description="The provider that answered.")
    model: str = Field(description="The model that answered.")
    cost_usd: float | None = Field(description="The cost in USD. Null if unknown.")
    note: str | None = Field(description="A sentence about a fallback or a replaced model. Null if there was none.")


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

    model_config = Strict.model_config

    text: str = Field(
        validation_alias=AliasChoices("text", "input"), description="The text to speak. `input` is another name of it."
    )
    provider: str | None = Field(
        None, description="The provider, without fallback to another one. Null is the default provider."
    )
    model: str | None = Field(None, description="The model. Null is the provider's default model.")
    voice: str | None = Field(None, description="The voice. Null is the default voice.")
    format: str = Field(
        "mp3",
        validation_alias=AliasChoices("format", "response_format"),
        description=f"One of {', '.join(FORMATS)}; the default is mp3. `response_format` is another name of it.",
    )
    speed: float = Field(1.0, description="The speed, from 0.25 to 4, at the same pitch. 1 is normal, and the default.")
    instructions: str | None = Field(None, description="Without effect.")
    stream_format: Literal["audio"] | None = Field(None, description="Without effect: the answer is always audio.")


class TranscriptionFields(Schema):
    """The options of a transcription: form fields beside the file, or query parameters beside raw audio."""

    model_config = Strict.model_config

    provider: str | None = Field(
        None, description="The provider, without fallback to another one. If omitted, the default provider answers."
    )
    model: str | None = Field(None, description="The model. If omitted, the provider's default model answers.")
    language: str | None = Field(
        None, description="The language, as an ISO 639-1 code or a BCP 47 tag. If omitted, it is detected."
    )
    format: str | None = Field(
        None, description="The format of the audio. If omitted, it is detected; only `pcm` must be named."
    )
    prompt: str | None = Field(None, description="Without effect.")
    temperature: str | None = Field(None, description="Without effect.")
    response_format: Literal["json", "verbose_json", ""] | None = Field(
        None, description="Without effect: the answer is the same."
    )
    stream: Literal["false", ""] | None = Field(None, description="Without effect: the answer is not streamed.")
    granularities: Literal["segment", ""] | None = Field(
        None, alias="timestamp_granularities[]", description="Without effect: times are those of segments."
    )


BINARY: Final = {"type": "string", "format": "binary"}
FIELDS: Final[dict[str, Any]] = TranscriptionFields.model_json_schema()["properties"]
# Ninja cannot describe a body that is either a form or raw audio. Generators drop media types with a wildcard.
AUDIO_BODY: Final[dict[str, Any]] = {
    "parameters": [
        {
            "in": "query",
            "name": name,
            "required": False,
            "schema": schema,
            "description": f"{schema['description']} For raw audio; a form has it as a field.",
        }
        for name, schema in FIELDS.items()
    ],
    "requestBody": {
        "description": "A form with the recording, or the recording itself. Instead of `application/octet-stream`, it "
        "may have any media type of audio or video.",
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {**BINARY, "description": "The recording."}, **FIELDS},
                }
            },
            "application/octet-stream": {"schema": BINARY},
        },
    },
}
AUDIO_HEADERS: Final = {
    "X-Speech-Provider": "The provider that answered.",
    "X-Speech-Model": "The model that answered.",
    "X-Speech-Voice": "The voice of the audio.",
    "X-Speech-Note": "A sentence about a fallback, or a replaced model or voice. Absent if there was none.",
}
# Generators do not know a media type with a parameter such as `codecs`.
AUDIO_TYPES: Final = [media_type.partition(";")[0] for media_type in MEDIA_TYPES.values()]
AUDIO_ANSWER: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The audio, streamed as it is made, with the media type of its `format`. If it fails "
            "midway, the connection is closed early. `application/octet-stream` stands for all of them, for "
            "generators that know no audio.",
            "headers": response_headers(AUDIO_HEADERS),
            "content": {media_type: {"schema": BINARY} for media_type in [*AUDIO_TYPES, "application/octet-stream"]},
        }
    }
}
