"""The events of a run as frozen values, one type for each `type` of the protocol.

Unknown fields are ignored, and an event of an unknown type is an `Unknown`. Words such as `End.reason` are plain texts,
because a later service may have more of them.
"""

from typing import Any, Final

import msgspec


class TotalUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost of a run so far. The cost is None if the price of any part is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """The run has started. If it is `rebuilt`, the whole answer follows again, in short."""

    run_id: str
    session_id: str | None
    provider: str | None
    model: str | None
    rebuilt: bool = False


class Token(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="token"):
    """A piece of the model's answer."""

    token: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """A piece of the model's reasoning."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool is about to run, or waits for an answer: `waits_for` is `approval`, `client` or None."""

    tool: str
    params: Any
    execution_id: str
    source: str
    waits_for: str | None = None


class ApprovalRequired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_required"):
    """An execution waits for a decision, which repeats `params_sha256`."""

    tool: str
    params: Any
    execution_id: str
    params_sha256: str
    expires_at: str
    taint: dict[str, str] = {}


class ApprovalResolved(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_resolved"):
    """The execution no longer waits."""

    execution_id: str
    decision: str


class ClientToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="client_tool_call"):
    """A tool of the client is called, and waits for its result."""

    tool: str
    params: Any
    execution_id: str
    call_id: str
    expires_at: str


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_output"):
    """Live output of a running tool. `stream` is `stdout` or `stderr`."""

    tool: str
    execution_id: str
    stream: str
    text: str


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """A tool has succeeded."""

    tool: str
    data: Any
    execution_id: str


class ToolError(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_error"):
    """A tool has failed. The run continues."""

    tool: str
    error: str
    code: str
    execution_id: str


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="retry"):
    """A model call is repeated."""

    provider: str
    attempt: int
    error: str
    next_provider: str
    code: str = "provider_unavailable"


class Budget(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="budget"):
    """Four fifths of a budget are used, or the next call would exceed it."""

    scope: str
    span: str
    spent: float
    limit: float
    unit: str


class Compaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="compaction"):
    """The conversation was shortened for the model. `before` and `after` are tokens, estimated."""

    before: int
    after: int
    results: int
    left_out: int
    summarized: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="usage"):
    """Tokens and cost of one model call."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    estimated: bool


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The run has completed, reached a limit or was cancelled. `output` is the value of a structured answer."""

    reason: str
    run_id: str
    session_id: str | None
    usage: TotalUsage
    warning: str | None = None
    output: Any = None


class Error(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The run has failed or was interrupted. `durable_to` is the last stored event, if the process died."""

    error: str
    code: str
    retryable: bool
    durable_to: int | None = None


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a later version of the service."""

    type: str
    fields: dict[str, Any]


KnownEvent = (
    Start
    | Token
    | Reasoning
    | ToolCall
    | ApprovalRequired
    | ApprovalResolved
    | ClientToolCall
    | ToolOutput
    | ToolResult
    | ToolError
    | Retry
    | Budget
    | Compaction
    | Usage
    | End
    | Error
)
Event = KnownEvent | Unknown
LAST: Final = (End, Error)
"""The types of a run's last event. `isinstance(event, LAST)` is true for exactly one event of a run."""


class Reconnecting(msgspec.Struct, frozen=True, kw_only=True):
    """A cut connection, among the events of a stream. The run is followed again in `seconds`."""

    attempt: int
    max_attempts: int
    seconds: float
    why: str


_known = msgspec.json.Decoder(KnownEvent)
_any = msgspec.json.Decoder(dict[str, Any])
_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in KnownEvent.__args__)


def decode(data: bytes) -> Event:
    """Return the event of one frame's data. Raise `ValueError` if it is not one."""
    try:
        event: KnownEvent = _known.decode(data)
    except msgspec.DecodeError as error:
        # An unknown type is as rare as an invalid event, so the event is only then decoded again.
        problem = str(error)
    else:
        return event
    try:
        fields = _any.decode(data)
    except msgspec.DecodeError:
        raise ValueError(problem) from None
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind in _TYPES:
        raise ValueError(problem)
    return Unknown(type=kind, fields=fields)
