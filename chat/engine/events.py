"""The events of a run, as frozen values: they are streamed, stored and audited.

`docs/protocol.md` describes them to clients. Each has a literal `type` as its tag, which comes first in its JSON.
"""

from typing import Any, Final, Literal

import msgspec

from chat.engine.model_port import ErrorCode as ProviderErrorCode
from tools.base import ApprovalDecision, OutputStream, Source, ToolErrorCode

EndReason = Literal[
    "completed",
    "length",
    "content_filter",
    "max_steps",
    "max_tool_calls",
    "max_seconds",
    "max_output",
    "repeated_call",
    "budget_exceeded",
    "cancelled",
]
ErrorCode = ProviderErrorCode | Literal["interrupted", "shutting_down", "storage", "internal"]


COST_DIGITS: Final = 10
"""Digits of a cost in USD after the point. Sums are rounded to them: 0.1 + 0.2 is 0.3, and not 0.30000000000000004."""


class TotalUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost of a run so far. `cost_usd` is None if the price of any part is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """The run has started. Always the first event.

    `rebuilt` marks a short version of the log, made from the stored messages after the frames were deleted.
    """

    run_id: str
    session_id: str | None
    provider: str | None
    model: str | None
    rebuilt: bool | msgspec.UnsetType = msgspec.UNSET


class Token(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="token"):
    """A piece of the model's answer."""

    token: str


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """The model's reasoning before an answer, as far as its service shows it. Only in runs that asked for it."""

    text: str


class ToolCalled(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool is about to run, at the request of `source`."""

    tool: str
    params: Any
    execution_id: str
    source: Source


class ApprovalRequired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_required"):
    """An execution waits for a decision until `expires_at` (ISO 8601). The run is `waiting` in the meantime.

    A decision is bound to `params_sha256`, the hash of the exact params.
    """

    tool: str
    params: Any
    execution_id: str
    params_sha256: str
    expires_at: str


class ApprovalResolved(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_resolved"):
    """The execution no longer waits. If it was approved, it starts now."""

    execution_id: str
    decision: ApprovalDecision


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_output"):
    """Live output of a tool that is still running."""

    tool: str
    execution_id: str
    stream: OutputStream
    text: str


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """A tool has succeeded."""

    tool: str
    data: Any
    execution_id: str


class ToolFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_error"):
    """A tool has failed. The run continues."""

    tool: str
    error: str
    code: ToolErrorCode
    execution_id: str


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="retry"):
    """A model call failed before its first token. `next_provider` is called next."""

    provider: str
    attempt: int
    error: str
    next_provider: str
    # Stored frames from before this field was added have no code.
    code: ProviderErrorCode = "provider_unavailable"


class Compaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="compaction"):
    """The conversation was shortened for the model, from `before` to `after` tokens (estimated). Stored messages stay.

    `results` tool results were replaced by a line, and `left_out` messages were left out.
    """

    before: int
    after: int
    results: int
    left_out: int


class Usage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="usage"):
    """Tokens and cost (USD) of one model call. They are `estimated` if the service did not report them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    estimated: bool


class BudgetUsed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="budget"):
    """A budget is nearly used up, or the next call would exceed it: `spent` of `limit` (in `unit`) in each `span`."""

    scope: Literal["run", "session", "key", "service"]
    span: Literal["run", "session", "day", "month", "ever"]
    spent: float
    limit: float
    unit: Literal["usd", "tokens"]


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The run has completed, reached a limit or was cancelled. The last event.

    `warning` names a problem of the answer, such as a missing text. `output` is the value of a structured answer.
    """

    reason: EndReason
    run_id: str
    session_id: str | None
    usage: TotalUsage
    warning: str | msgspec.UnsetType = msgspec.UNSET
    output: Any = msgspec.UNSET


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="error"):
    """The run has failed or was interrupted. The last event. `durable_to` is the last event id stored before it."""

    error: str
    code: ErrorCode
    retryable: bool
    durable_to: int | None = None


Event = (
    Start
    | Token
    | Reasoning
    | ToolCalled
    | ApprovalRequired
    | ApprovalResolved
    | ToolOutput
    | ToolResult
    | ToolFailed
    | Retry
    | BudgetUsed
    | Compaction
    | Usage
    | End
    | Error
)
Terminal = End | Error

EVENT_TYPES: Final = (
    Start,
    Token,
    Reasoning,
    ToolCalled,
    ApprovalRequired,
    ApprovalResolved,
    ToolOutput,
    ToolResult,
    ToolFailed,
    Retry,
    BudgetUsed,
    Compaction,
    Usage,
    End,
    Error,
)
