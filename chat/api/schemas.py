"""The schemas of the chat API."""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from ninja import Field, Schema
from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator

from chat.engine.events import EVENT_TYPES

MAX_TOOL_CALLS: Final = 32
MAX_ATTACHMENTS: Final = 16
MAX_METADATA_BYTES: Final = 16 * 1_024

Name = Annotated[str, Field(max_length=128)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


# Each service decides what its models are called.
ModelName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]


class Strict(BaseModel):
    """A body without unknown fields."""

    # A misspelt field would otherwise be ignored silently.
    model_config = ConfigDict(extra="forbid")


class ToolCallIn(Strict):
    name: Name
    params: dict[str, Any] = {}


class AttachmentIn(Strict):
    """A picture: base64 data with its media type, or a path in the workspace."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"] | None = None
    data_base64: str | None = None
    path: str | None = None

    @model_validator(mode="after")
    def one_source(self) -> "AttachmentIn":
        if (self.data_base64 is None) == (self.path is None):
            raise ValueError("give either data_base64 (with media_type) or path")
        if self.data_base64 is not None and self.media_type is None:
            raise ValueError("data_base64 needs media_type")
        return self


def _bounded_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"metadata may have at most {MAX_METADATA_BYTES} bytes as JSON")
    return metadata


class ChatIn(Strict):
    """The body of `POST /chat/stream`: a message, tool calls, or both."""

    message: str = ""
    session_id: UUID | None = None
    model: ModelName | None = None
    provider: Name | None = None
    tool_calls: Annotated[list[ToolCallIn], Field(max_length=MAX_TOOL_CALLS)] = []
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_ATTACHMENTS)] = []
    instructions: Annotated[str, Field(max_length=100_000)] | None = None
    tools: Annotated[list[Name], Field(max_length=64)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(min_length=1, max_length=4)] | None
    ) = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    reasoning: Literal["hide", "show"] = "hide"
    output_schema: dict[str, Any] | None = None
    tool_choice: Name | None = None
    parallel_tool_calls: bool | None = None
    extra_body: dict[str, Any] | None = None
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    stream: bool | None = None
    user: Annotated[str, Field(max_length=255)] = ""
    metadata: dict[str, Any] = {}

    @field_validator("metadata")
    @classmethod
    def bounded(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        return _bounded_metadata(metadata)

    @field_validator("extra_body")
    @classmethod
    def bounded_fields(cls, fields: dict[str, Any] | None) -> dict[str, Any] | None:
        if fields is not None and len(json.dumps(fields)) > MAX_METADATA_BYTES:
            raise ValueError(f"extra_body may have at most {MAX_METADATA_BYTES} bytes as JSON")
        return fields

    @field_validator("model", "provider", mode="before")
    @classmethod
    def empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @model_validator(mode="after")
    def asks_something(self) -> "ChatIn":
        if not self.message and not self.tool_calls and not self.attachments:
            raise ValueError("give a message, tool_calls, or both")
        return self


class UsageOut(Schema):
    """Tokens and cost (USD), null if unknown."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    estimated: bool


class RunOut(Schema):
    """A run. `text` is the output so far, which is kept after a cancel."""

    id: UUID
    session_id: UUID | None
    status: str
    reason: str | None
    provider: str | None
    model: str | None
    text: str
    usage: UsageOut
    cost_usd: float | None
    error: str | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    resumed_from: UUID | None = None


class ApprovalOut(Schema):
    """An execution that waits for a decision. Decide it at `/tools/executions/{execution_id}/approve` or `.../deny`."""

    execution_id: UUID
    tool: str
    params: Any
    params_sha256: str
    expires_at: datetime


class AnswerOut(RunOut):
    """A run that has ended, or that waits for the `approval`. `output` is the value of a structured answer."""

    approval: ApprovalOut | None = None
    output: Any = None


class CancelOut(Schema):
    id: UUID
    status: str


class SessionOut(Schema):
    id: UUID
    owner: str
    title: str
    user: str
    metadata: dict[str, Any]
    active_run: UUID | None
    created: datetime
    updated: datetime


class SessionList(Schema):
    items: list[SessionOut]
    count: int


class SessionPatch(Strict):
    """The changes to a session. Fields that are left out keep their values."""

    title: Annotated[str, Field(max_length=200)] | None = None
    metadata: dict[str, Any] | None = None

    @field_validator("metadata")
    @classmethod
    def bounded(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if metadata is None else _bounded_metadata(metadata)


class MessageOut(Schema):
    """A message. `reasoning` is the model's own, if it sent any; it is not part of the content."""

    id: int
    run_id: UUID
    role: str
    content: str
    attachments: int
    tool_calls: list[dict[str, Any]] | None
    call_id: str | None
    tool: str | None
    is_error: bool
    provider: str | None
    model: str | None
    usage: UsageOut | None
    reasoning: str | None
    created: datetime


class MessageList(Schema):
    items: list[MessageOut]
    count: int


class ProviderOut(Schema):
    """A provider of models. `reason` states why it is not configured, or why its models cannot be listed."""

    name: str
    configured: bool
    reason: str | None
    default: bool
    default_model: str | None
    models: list[str]
    capabilities: list[str]
    warning: str | None = None


class ProviderList(Schema):
    items: list[ProviderOut]
    count: int


def event_schemas() -> dict[str, Any]:
    """Return the JSON Schemas of all event types, as components of the OpenAPI document."""
    _, components = msgspec.json.schema_components(EVENT_TYPES, ref_template="#/components/schemas/{name}")
    # The suffix keeps the events apart from the schemas of bodies with the same names.
    return {f"{name}Event": _with_suffix(schema) for name, schema in components.items()}


# OpenAPI 3.1 has no type for event streams, so the schema describes one event.
STREAM_RESPONSE: Final[dict[str, Any]] = {
    "description": "The run's events as server-sent events: each frame is `id: <n>` and `data: <one event as JSON>`.",
    "content": {
        "text/event-stream": {
            "schema": {
                "oneOf": [{"$ref": f"#/components/schemas/{event.__name__}Event"} for event in EVENT_TYPES],
                "discriminator": {"propertyName": "type"},
            }
        }
    },
}


def _with_suffix(schema: Any) -> Any:
    """Return the schema with references to the renamed components."""
    if isinstance(schema, dict):
        return {key: f"{item}Event" if key == "$ref" else _with_suffix(item) for key, item in schema.items()}
    if isinstance(schema, list):
        return [_with_suffix(item) for item in schema]
    return schema
