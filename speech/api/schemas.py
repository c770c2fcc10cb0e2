"""The request and response schemas of the speech API."""

from typing import Any, Final, Literal

from ninja import Field
from pydantic import AliasChoices

from speech.base import FORMATS, MEDIA_TYPES
from web.schemas import Answer, Strict, response_headers


class PartOut(Answer):
    """The abilities of a provider in one direction."""

    models: list[str]
    """The models, the default one first."""
    default_model: str
    """The model that answers requests that name none."""
    formats: list[str]
    """The audio formats that are accepted, or made."""
    languages: list[str] = []
    """The languages of recordings. Empty if the provider names none, and for synthesis."""
    voices: dict[str, list[str]] = {}
    """The voices of each model. Empty for transcription."""
    default_voice: str | None = None
    """The voice of requests that name none. Null for transcription."""


class SpeechProviderOut(Answer):
    """A provider of speech."""

    name: str
    """The provider's name, for the field `provider` of a request."""
    configured: bool
    """True if it can be used."""
    reason: str | None
    """The reason why it is not configured. Null if it is."""
    default: bool
    """True if it answers requests that name no provider."""
    leaves_machine: bool
    """True if audio and text are sent to another machine."""
    streams: bool
    """True if audio arrives before all of it is made."""
    segments: bool
    """True if a transcription has the times of its segments."""
    speed: list[float]
    """The slowest and the fastest speed. 1 is normal."""
    transcription: PartOut | None
    """Its transcription. Null if it has none."""
    synthesis: PartOut | None
    """Its synthesis. Null if it has none."""


class SpeechProviderList(Answer):
    """The providers of speech, and the limits of the service."""

    items: list[SpeechProviderOut]
    """All providers."""
    count: int
    """The number of providers."""
    enabled: bool
    """The setting `ENABLE_SPEECH`."""
    limits: dict[str, float]
    """The limits of one call: seconds and bytes of audio, characters of text, seconds of its duration."""


class SegmentOut(Answer):
    """A stretch of speech."""

    start: float
    """The second at which it starts."""
    end: float
    """The second at which it ends."""
    text: str
    """Its text."""


class TranscriptionOut(Answer):
    """A transcribed recording."""

    text: str
    """The text. Empty for silence."""
    language: str | None
    """The language, as the provider reports it. Null if it reports none."""
    duration: float | None
    """The length of the recording in seconds. Null if unknown."""
    segments: list[SegmentOut]
    """The text with its times. Empty if the model reports no times."""
    provider: str
    """The provider that answered."""
    model: str
    """The model that answered."""
    cost_usd: float | None
    """The cost in USD. Null if unknown."""
    note: str | None
    """A sentence about a fallback or a replaced model. Null if there was none."""


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


class SynthesisIn(Answer):
    """A text to synthesize."""

    model_config = Strict.model_config

    text: str = Field(validation_alias=AliasChoices("text", "input"))
    """The text to speak. `input` is another name of it."""
    provider: str | None = None
    """The provider, without fallback to another one. Null is the default provider."""
    model: str | None = None
    """The model. Null is the provider's default model."""
    voice: str | None = None
    """The voice. Null is the default voice."""
    format: str = Field(
        "mp3",
        validation_alias=AliasChoices("format", "response_format"),
        description=f"One of {', '.join(FORMATS)}; the default is mp3. `response_format` is another name of it.",
    )
    speed: float = 1.0
    """The speed, from 0.25 to 4, at the same pitch. 1 is normal, and the default."""
    instructions: str | None = None
    """Without effect."""
    stream_format: Literal["audio"] | None = None
    """Without effect: the answer is always audio."""


class TranscriptionFields(Answer):
    """The options of a transcription: form fields beside the file, or query parameters beside raw audio."""

    model_config = Strict.model_config

    provider: str | None = None
    """The provider, without fallback to another one. If omitted, the default provider answers."""
    model: str | None = None
    """The model. If omitted, the provider's default model answers."""
    language: str | None = None
    """The language, as an ISO 639-1 code or a BCP 47 tag. If omitted, it is detected."""
    format: str | None = None
    """The format of the audio. If omitted, it is detected; only `pcm` must be named."""
    prompt: str | None = None
    """Without effect."""
    temperature: str | None = None
    """Without effect."""
    response_format: Literal["json", "verbose_json", ""] | None = None
    """Without effect: the answer is the same."""
    stream: Literal["false", ""] | None = None
    """Without effect: the answer is not streamed."""
    granularities: Literal["segment", ""] | None = Field(None, alias="timestamp_granularities[]")
    """Without effect: times are those of segments."""


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
