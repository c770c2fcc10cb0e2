"""The schemas of the chat API."""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import AfterValidator, field_validator, model_validator

from chat.history.transfer.records import MAX_METADATA_BYTES
from chat.wire.event_schemas import RUN_EVENT
from tools.base import TaintSource
from web.schemas import Strict, response_headers

MAX_TOOL_CALLS: Final = 32
MAX_CLIENT_TOOLS: Final = 128
MAX_ATTACHMENTS: Final = 16

TAINT: Final = (
    "The sources of the texts from outside in the conversation, each with the tool that brought the first. A picture "
    "of a message has `message`. Empty if there are none."
)

RunStatus = Literal["running", "waiting", "completed", "cancelled", "failed", "interrupted"]
Name = Annotated[str, Field(max_length=128)]
ClientToolName = Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
Description = Annotated[str, Field(max_length=8_192)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("use printable characters, without spaces at the ends")
    return text


# Each service decides what its models are called.
ModelName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]


class ToolCallIn(Strict):
    """A tool to run before the model answers."""

    name: Name = Field(description="The tool's name, such as `fs.read`.")
    params: dict[str, Any] = Field({}, description="The tool's params. `GET /tools` has their JSON Schema.")


class ClientToolIn(Strict):
    """A tool that the client runs when the model calls it."""

    name: ClientToolName = Field(
        description="The tool's name: letters, digits, `_` and `-`. It differs from the names of the service's tools."
    )
    description: Description = Field("", description="The description for the model.")
    parameters: dict[str, Any] = Field(
        {"type": "object", "properties": {}}, description="The JSON Schema of the params, of type object."
    )


class AttachmentIn(Strict):
    """A picture: base64 data with its media type, or a path in the workspace."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"] | None = Field(
        None, description="The media type of `data_base64`. Null for a file, whose type is detected."
    )
    data_base64: str | None = Field(
        None, description="The picture as base64, of at most 8 MiB decoded. Null if `path` is given."
    )
    path: str | None = Field(
        None, description="A file in the workspace, of at most 8 MiB. Null if `data_base64` is given."
    )

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

    message: str = Field("", description="The user's message. If it is empty, the tool calls run without a model.")
    session_id: UUID | None = Field(None, description="The session to continue. Null starts a new one.")
    model: ModelName | None = Field(None, description="The model to answer. Null is the provider's default model.")
    provider: Name | None = Field(None, description="The provider to answer. Null is the default provider.")
    tool_calls: Annotated[list[ToolCallIn], Field(max_length=MAX_TOOL_CALLS)] = Field(
        [], description="Tools that run first, in this order. The model sees their results."
    )
    client_tools: Annotated[list[ClientToolIn], Field(max_length=MAX_CLIENT_TOOLS)] = Field(
        [], description="Tools that the client runs, of at most 64 KiB in all. The model sees them beside the others."
    )
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_ATTACHMENTS)] = Field(
        [], description="Pictures beside the message."
    )
    instructions: Annotated[str, Field(max_length=100_000)] | None = Field(
        None, description="The system prompt of this run. Null is `SYSTEM_PROMPT`."
    )
    tools: Annotated[list[Name], Field(max_length=64)] | None = Field(
        None,
        description="The offered tools, by name or pattern such as `fs.*`. Null offers every allowed tool.",
    )
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The most tokens of one model call. Null leaves it to the service and the model."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="The sampling temperature. Null is the model's default."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="The share of likely tokens to sample from. Null leaves it to the service."
    )
    stop: Annotated[list[StopText], Field(min_length=1, max_length=4)] | None = Field(
        None, description="Texts that end the answer. Null sets none."
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="The seed of the sampling. Null leaves it to the service."
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="The penalty of tokens that occurred. Null leaves it to the service."
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="The penalty of tokens by how often they occurred. Null leaves it to the service."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None,
        description="The effort of the model's reasoning, as far as the model takes it. Null leaves it to the service.",
    )
    reasoning: Literal["hide", "show"] = Field(
        "hide", description="With `show`, `reasoning` events are sent, which needs the scope `reasoning`."
    )
    output_schema: dict[str, Any] | None = Field(
        None, description="The JSON Schema of the last answer, of at most 64 KiB. Null leaves the answer free."
    )
    tool_choice: Name | None = Field(
        None, description="`auto`, `none`, `required` or a tool's name. Null leaves it to the service."
    )
    parallel_tool_calls: bool | None = Field(
        None, description="True lets the model call several tools at once. Null leaves it to the service."
    )
    extra_body: dict[str, Any] | None = Field(
        None, description="The service's own fields, as far as its settings allow them. Null adds none."
    )
    on_disconnect: Literal["cancel", "continue"] = Field(
        "cancel",
        description="With `cancel` (default), a run without subscribers ends; with `continue`, it runs to its end.",
    )
    stream: bool | None = Field(
        None,
        description="False asks for one JSON object, true for events. Null leaves it to the `Accept` header.",
    )
    user: Annotated[str, Field(max_length=255)] = Field(
        "", description="The caller's own label of its user, stored on the session. It grants nothing."
    )
    metadata: dict[str, Any] = Field(
        {}, description="Any values of the caller, of at most 16 KiB as JSON, stored on the run."
    )

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
    """Tokens and cost."""

    input_tokens: int | None = Field(description="Tokens that the model read, cached ones included. Null if unknown.")
    output_tokens: int | None = Field(description="Tokens that the model wrote, reasoning included. Null if unknown.")
    cached_tokens: int | None = Field(description="Input tokens that the provider had in its cache. Null if unknown.")
    reasoning_tokens: int | None = Field(description="Output tokens of the model's reasoning. Null if unknown.")
    cost_usd: float | None = Field(description="The cost in USD. Null if the price of any part is unknown.")
    estimated: bool = Field(description="True if a part is the service's estimate, because no provider reported it.")


class RunOut(Schema):
    """A run. A run of a process that ended is `interrupted` and can be resumed."""

    id: UUID = Field(description="The run's id.")
    session_id: UUID | None = Field(
        description="The session of the run. Null if nothing is stored (`ENABLE_PERSISTENCE=false`)."
    )
    status: RunStatus = Field(
        description="The run's state. It is over unless it is `running`, or `waiting` for an approval or the client."
    )
    reason: str | None = Field(
        description="The `reason` of its `end` event, or the `code` of its `error` event. Null before the end."
    )
    provider: str | None = Field(description="The provider that answered. Null if none has.")
    model: str | None = Field(description="The model that answered. Null if none has.")
    text: str = Field(description="The answer so far. It is kept after a cancel or a failure.")
    usage: UsageOut = Field(description="Tokens and cost of all model calls of the run so far.")
    cost_usd: float | None = Field(
        description="The cost in USD, as in `usage`. Null if the price of any part is unknown."
    )
    error: str | None = Field(description="The sentence of a failure. Null if there was none.")
    created: datetime | None = Field(description="The time of the request. Null if unknown.")
    started: datetime | None = Field(description="The time when the run began. Null if unknown.")
    ended: datetime | None = Field(description="The time of the end. Null before it.")
    resumed_from: UUID | None = Field(
        None, description="The interrupted run that this one continues. Null if it continues none."
    )
    taint: dict[TaintSource, str] = Field({}, description=TAINT)


class ApprovalOut(Schema):
    """An execution that waits for a decision. Decide it at `/tools/executions/{execution_id}/approve` or `.../deny`."""

    execution_id: UUID = Field(description="The execution to decide.")
    tool: str = Field(description="The tool that waits.")
    params: Any = Field(description="The params that it will run with, secrets masked.")
    params_sha256: str = Field(description="The hash of the exact params, for the decision.")
    expires_at: datetime = Field(
        description="The time at which the execution expires, which has the effect of a denial."
    )
    taint: dict[TaintSource, str] = Field({}, description=TAINT)


class ClientToolCallOut(Schema):
    """A call that waits for the client. Give its result at `/tools/executions/{execution_id}/result`."""

    execution_id: UUID = Field(description="The execution that needs the result.")
    tool: str = Field(description="The client's tool.")
    params: Any = Field(description="The params to run it with. They match its schema.")
    call_id: str = Field(description="The model's id of the call. Empty if it gave none.")
    expires_at: datetime = Field(description="The time at which the call times out.")


class CompactionOut(Schema):
    """The newest compaction of a run: what the model gets in place of the whole conversation."""

    before: int = Field(description="The tokens of the whole conversation, estimated.")
    after: int = Field(description="The tokens that the model gets, estimated.")
    results: int = Field(description="The number of tool results that were replaced by a line.")
    left_out: int = Field(description="The number of messages that were left out.")
    summarized: int = Field(description="The number of messages that a summary now stands for.")


class AnswerOut(RunOut):
    """A run that has ended, or that waits for the `approval` or for the client."""

    approval: ApprovalOut | None = Field(
        None, description="The execution that the run waits for. Null if it waits for none."
    )
    client_tool_calls: list[ClientToolCallOut] = Field(
        [], description="The calls whose results the run waits for. Empty if it waits for none."
    )
    output: Any = Field(None, description="The value of a structured answer. Null if none was asked for, or made.")
    compaction: CompactionOut | None = Field(
        None, description="The newest compaction of the conversation. Null if there was none."
    )
    warning: str | None = Field(
        None, description="A problem of the answer, or the reason why nothing was compacted. Null if there is none."
    )


class CancelOut(Schema):
    """The state of a run after a request to cancel it."""

    id: UUID = Field(description="The run's id.")
    status: str = Field(description="The run's status: the end of a run in another process may follow within seconds.")


class SessionOut(Schema):
    """A conversation: its messages and runs belong to it."""

    id: UUID = Field(description="The session's id.")
    owner: str = Field(
        description="The key or user that the session belongs to, such as `user:7`, `key:<id>` or `operator`."
    )
    title: str = Field(description="The title: the beginning of the first message, or what the caller set.")
    user: str = Field(description="The caller's own label of its user. Empty if none was given.")
    metadata: dict[str, Any] = Field(description="The caller's own values.")
    active_run: UUID | None = Field(description="The run that is running or waiting. Null if there is none.")
    archived: bool = Field(description="True if the session is left out of the list.")
    taint: dict[TaintSource, str] = Field({}, description=TAINT)
    created: datetime = Field(description="The time of the first request.")
    updated: datetime = Field(description="The time of the last change.")


class SessionList(Schema):
    """A page of sessions."""

    items: list[SessionOut] = Field(description="The sessions of the page, the most recently used first.")
    count: int = Field(description="The number of all sessions. Above 10,000 it is a lower bound.")
    is_complete: bool = Field(True, description="False if a search ended before it had read all texts.")


class SessionPatch(Strict):
    """The changes to a session. Fields that are left out or null keep their values."""

    title: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The new title. Null keeps the old one."
    )
    metadata: dict[str, Any] | None = Field(
        None, description="The new values in place of all old ones, of at most 16 KiB as JSON. Null keeps the old ones."
    )

    archived: bool | None = Field(None, description="True leaves the session out of the list. Null changes nothing.")

    @field_validator("metadata")
    @classmethod
    def bounded(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if metadata is None else _bounded_metadata(metadata)


class MessageOut(Schema):
    """A message of a session: the user's, the assistant's or a tool's, or a summary of earlier ones by a model."""

    id: int = Field(description="The message's number. Later messages have larger ones.")
    run_id: UUID = Field(description="The run that the message belongs to.")
    role: Literal["user", "assistant", "tool", "summary"] = Field(
        description="The author of the message. A `summary` stands for earlier messages when the model is asked."
    )
    content: str = Field(description="The text. A tool's is its result as the model read it.")
    attachments: int = Field(description="The number of pictures beside the text.")
    tool_calls: list[dict[str, Any]] | None = Field(
        description="The assistant's calls, each with `call_id`, `name` and `arguments` (JSON). Null if it made none."
    )
    call_id: str | None = Field(
        description="The tool call that a tool's message answers. Null for other messages, and if the caller ran it."
    )
    tool: str | None = Field(description="The tool of a tool's message. Null for other messages.")
    is_error: bool = Field(description="True if the tool failed.")
    summarizes: list[list[int]] | None = Field(
        None, description="The ids that a summary stands for, as ranges with both ends. Null for other messages."
    )
    provider: str | None = Field(
        description="The provider of an assistant's message or a summary. Null for other messages."
    )
    model: str | None = Field(description="The model of an assistant's message or a summary. Null for other messages.")
    usage: UsageOut | None = Field(
        description="Tokens and cost of an assistant's message or a summary. Null for other messages."
    )
    reasoning: str | None = Field(
        description="The reasoning, not part of the content. Null without the scope `reasoning`, or if there is none."
    )
    created: datetime = Field(description="The time of the message.")


class MessageList(Schema):
    """A page of messages."""

    items: list[MessageOut] = Field(description="The messages of the page, the oldest first.")
    count: int = Field(description="The number of all messages. Above 10,000 it is a lower bound.")


class ProviderOut(Schema):
    """A provider of models."""

    name: str = Field(description="The provider's name, for the field `provider` of a request.")
    configured: bool = Field(description="True if it can be used.")
    reason: str | None = Field(
        description="The reason why it is not configured, or why its models cannot be listed. Null if there is none."
    )
    default: bool = Field(description="True if it answers requests that name no provider.")
    default_model: str | None = Field(
        description="The model that answers requests that name none. Null if the provider is not configured."
    )
    models: list[str] = Field(description="The models that it offers.")
    capabilities: list[str] = Field(description="Its capabilities: `streaming`, `tools`, `images`.")
    warning: str | None = Field(None, description="A problem, such as a context that is only assumed. Null if none.")


class ProviderList(Schema):
    """The providers of models."""

    items: list[ProviderOut] = Field(description="All providers.")
    count: int = Field(description="The number of providers.")


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
EVENTS: Final = "The run's events as server-sent events: each frame is `id: <n>` and `data: <one event as JSON>`."
EVENTS_OR_JSON: Final = f"{EVENTS} If JSON is asked for, it is the run, at its end or when it waits."
# OpenAPI 3.1 has no type for event streams, so the schema describes one event.
STREAM_RESPONSE: Final[dict[str, Any]] = {
    "description": EVENTS,
    "headers": STREAM_HEADERS,
    "content": {"text/event-stream": {"schema": RUN_EVENT}},
}
