"""The schemas of the chat API."""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from ninja import Field
from pydantic import AfterValidator, field_validator, model_validator

from chat.wire.event_schemas import RUN_EVENT
from web.schemas import Answer, Strict, response_headers

MAX_TOOL_CALLS: Final = 32
MAX_ATTACHMENTS: Final = 16
MAX_METADATA_BYTES: Final = 16 * 1_024

RunStatus = Literal["running", "waiting", "completed", "cancelled", "failed", "interrupted"]
Name = Annotated[str, Field(max_length=128)]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


# Each service decides what its models are called.
ModelName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]


class ToolCallIn(Strict):
    """A tool to run before the model answers."""

    name: Name
    """The tool's name, such as `fs.read`."""
    params: dict[str, Any] = {}
    """The tool's params. `GET /tools` has their JSON Schema."""


class AttachmentIn(Strict):
    """A picture: base64 data with its media type, or a path in the workspace."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"] | None = None
    """The media type of `data_base64`. Null for a file, whose type is detected."""
    data_base64: str | None = None
    """The picture as base64, of at most 8 MiB decoded. Null if `path` is given."""
    path: str | None = None
    """A file in the workspace, of at most 8 MiB. Null if `data_base64` is given."""

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
    """The user's message. If it is empty, the tool calls run without a model."""
    session_id: UUID | None = None
    """The session to continue. Null starts a new one."""
    model: ModelName | None = None
    """The model to answer. Null is the provider's default model."""
    provider: Name | None = None
    """The provider to answer. Null is the default provider."""
    tool_calls: Annotated[list[ToolCallIn], Field(max_length=MAX_TOOL_CALLS)] = []
    """Tools that run first, in this order. The model sees their results."""
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_ATTACHMENTS)] = []
    """Pictures beside the message."""
    instructions: Annotated[str, Field(max_length=100_000)] | None = None
    """The system prompt of this run. Null is `SYSTEM_PROMPT`."""
    tools: Annotated[list[Name], Field(max_length=64)] | None = None
    """The tools that the model is offered, by name or pattern such as `fs.*`. Null offers every allowed tool."""
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The most tokens of one model call. Null leaves it to the service and the model."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """The sampling temperature. Null is the model's default."""
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    """The fate of a run without subscribers: `cancel` after `DISCONNECT_GRACE_SECONDS` (default), or `continue`."""
    stream: bool | None = None
    """False asks for one JSON object at the end, true for events. Null leaves it to the `Accept` header."""
    user: Annotated[str, Field(max_length=255)] = ""
    """The caller's own label of its user, stored on the session. It grants nothing."""
    metadata: dict[str, Any] = {}
    """Any values of the caller, of at most 16 KiB as JSON, stored on the run."""

    @field_validator("metadata")
    @classmethod
    def bounded(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        return _bounded_metadata(metadata)

    @field_validator("model", "provider", mode="before")
    @classmethod
    def empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @model_validator(mode="after")
    def asks_something(self) -> "ChatIn":
        if not self.message and not self.tool_calls and not self.attachments:
            raise ValueError("give a message, tool_calls, or both")
        return self


class UsageOut(Answer):
    """Tokens and cost."""

    input_tokens: int | None
    """Tokens that the model read, cached ones included. Null if unknown."""
    output_tokens: int | None
    """Tokens that the model wrote, reasoning included. Null if unknown."""
    cached_tokens: int | None
    """Input tokens that the provider had in its cache. Null if unknown."""
    reasoning_tokens: int | None
    """Output tokens of the model's reasoning. Null if unknown."""
    cost_usd: float | None
    """The cost in USD. Null if the price of any part is unknown."""
    estimated: bool
    """True if the tokens of a part are the service's estimate, because no provider reported them."""


class RunOut(Answer):
    """A run. A run of a process that ended is `interrupted` and can be resumed."""

    id: UUID
    """The run's id."""
    session_id: UUID | None
    """The session of the run. Null if nothing is stored (`ENABLE_PERSISTENCE=false`)."""
    status: RunStatus
    """The run's state. It is over unless it is `running`, or `waiting` for an approval."""
    reason: str | None
    """The reason of the end: an `end` event's `reason` or an `error` event's `code`. Null before the end."""
    provider: str | None
    """The provider that answered. Null if none has."""
    model: str | None
    """The model that answered. Null if none has."""
    text: str
    """The answer so far. It is kept after a cancel or a failure."""
    usage: UsageOut
    """Tokens and cost of all model calls of the run so far."""
    cost_usd: float | None
    """The cost in USD, as in `usage`. Null if the price of any part is unknown."""
    error: str | None
    """The sentence of a failure. Null if there was none."""
    created: datetime | None
    """The time of the request. Null if unknown."""
    started: datetime | None
    """The time when the run began. Null if unknown."""
    ended: datetime | None
    """The time of the end. Null before it."""
    resumed_from: UUID | None = None
    """The interrupted run that this one continues. Null if it continues none."""


class ApprovalOut(Answer):
    """An execution that waits for a decision. Decide it at `/tools/executions/{execution_id}/approve` or `.../deny`."""

    execution_id: UUID
    """The execution to decide."""
    tool: str
    """The tool that waits."""
    params: Any
    """The params that it will run with, secrets masked."""
    params_sha256: str
    """The hash of the exact params, for the decision."""
    expires_at: datetime
    """The time at which the execution expires, which has the effect of a denial."""


class AnswerOut(RunOut):
    """A run that has ended, or that waits for the `approval`."""

    approval: ApprovalOut | None = None
    """The execution that the run waits for. Null if its status is not `waiting`."""


class CancelOut(Answer):
    """The state of a run after a request to cancel it."""

    id: UUID
    """The run's id."""
    status: str
    """The run's status: the end of a run in another process may follow within seconds."""


class SessionOut(Answer):
    """A conversation: its messages and runs belong to it."""

    id: UUID
    """The session's id."""
    owner: str
    """The key or user that the session belongs to, such as `user:7`, `key:<id>` or `operator`."""
    title: str
    """The title: the beginning of the first message, or what the caller set."""
    user: str
    """The caller's own label of its user. Empty if none was given."""
    metadata: dict[str, Any]
    """The caller's own values."""
    active_run: UUID | None
    """The run that is running or waiting. Null if there is none."""
    created: datetime
    """The time of the first request."""
    updated: datetime
    """The time of the last change."""


class SessionList(Answer):
    """A page of sessions."""

    items: list[SessionOut]
    """The sessions of the page, the most recently used first."""
    count: int
    """The number of all sessions: exact up to 10,000, above that larger than the page's end as long as more follow."""


class SessionPatch(Strict):
    """The changes to a session. Fields that are left out or null keep their values."""

    title: Annotated[str, Field(max_length=200)] | None = None
    """The new title. Null keeps the old one."""
    metadata: dict[str, Any] | None = None
    """The new values in place of all old ones, of at most 16 KiB as JSON. Null keeps the old ones."""

    @field_validator("metadata")
    @classmethod
    def bounded(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if metadata is None else _bounded_metadata(metadata)


class MessageOut(Answer):
    """A message of a session: the user's, the assistant's or a tool's."""

    id: int
    """The message's number. Later messages have larger ones."""
    run_id: UUID
    """The run that the message belongs to."""
    role: Literal["user", "assistant", "tool"]
    """The author of the message."""
    content: str
    """The text. A tool's is its result as the model read it."""
    attachments: int
    """The number of pictures beside the text."""
    tool_calls: list[dict[str, Any]] | None
    """The tool calls that the assistant made. Null if it made none."""
    call_id: str | None
    """The assistant's tool call that a tool's message answers. Null for other messages, and if the caller ran it."""
    tool: str | None
    """The tool of a tool's message. Null for other messages."""
    is_error: bool
    """True if the tool failed."""
    provider: str | None
    """The provider of an assistant's message. Null for other messages."""
    model: str | None
    """The model of an assistant's message. Null for other messages."""
    usage: UsageOut | None
    """Tokens and cost of the model call of an assistant's message. Null for other messages."""
    reasoning: str | None
    """The model's own reasoning, which is not part of the content. Null if it sent none."""
    created: datetime
    """The time of the message."""


class MessageList(Answer):
    """A page of messages."""

    items: list[MessageOut]
    """The messages of the page, the oldest first."""
    count: int
    """The number of all messages: exact up to 10,000, above that larger than the page's end as long as more follow."""


class ProviderOut(Answer):
    """A provider of models."""

    name: str
    """The provider's name, for the field `provider` of a request."""
    configured: bool
    """True if it can be used."""
    reason: str | None
    """The reason why it is not configured, or why its models cannot be listed. Null if there is none."""
    default: bool
    """True if it answers requests that name no provider."""
    default_model: str | None
    """The model that answers requests that name none. Null if the provider is not configured."""
    models: list[str]
    """The models that it offers."""
    capabilities: list[str]
    """Its capabilities: `streaming`, `tools`, `images`."""


class ProviderList(Answer):
    """The providers of models."""

    items: list[ProviderOut]
    """All providers."""
    count: int
    """The number of providers."""


IDEMPOTENCY_KEY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "A name for the request: with the same name and body, a retry returns the same run.",
    "schema": {"type": "string", "maxLength": 255},
}
LAST_EVENT_ID: Final = {
    "in": "header",
    "name": "Last-Event-ID",
    "required": False,
    "description": "The number of the last event that was received. It overrides `after`.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,10}$"},
}
STREAM_HEADERS: Final = response_headers(
    {
        "X-Run-Id": "The run's id.",
        "X-Session-Id": "The session's id. Absent if it is not known here, such as for a run of another process.",
        "Content-Location": "The path of the run's stream, or of the run if the answer is JSON.",
    }
)
# OpenAPI 3.1 has no type for event streams, so the schema describes one event.
STREAM_RESPONSE: Final[dict[str, Any]] = {
    "description": "The run's events as server-sent events: each frame is `id: <n>` and `data: <one event as JSON>`.",
    "headers": STREAM_HEADERS,
    "content": {"text/event-stream": {"schema": RUN_EVENT}},
}
