"""The schemas of the chat API's answers."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from ninja import Field, Schema

from chat.wire.event_schemas import RUN_EVENT
from tools.base import TaintSource
from web.schemas import response_headers

TAINT: Final = (
    "The sources of the texts from outside in the conversation, each with the tool that brought the first. A picture "
    "of a message has `message`. Empty if there are none."
)

RunStatus = Literal["running", "waiting", "completed", "cancelled", "failed", "interrupted"]


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
