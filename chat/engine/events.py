"""Everything observable of a run, as frozen values: what streams, what is stored and what is audited.

`docs/protocol.md` describes them to clients. The literal `type` of each is its tag, and stands first in its JSON.
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


class TotalUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost of a run so far. `cost_usd` is None where any part's price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """A run has begun. Always the first event. `rebuilt`: its frames are gone, and this is told again in short."""

    run_id: str
    session_id: str | None
    provider: str | None
    model: str | None
    rebuilt: bool | msgspec.UnsetType = msgspec.UNSET


class Token(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="token"):
    """A piece of the model's answer."""

    token: str


class ToolCalled(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool is about to run: `source` says who asked."""

    tool: str
    params: Any
    execution_id: str
    source: Source


class ApprovalRequired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_required"):
    """An execution waits for a decision, until `expires_at` (ISO 8601); the run is `waiting` meanwhile.

    A decision is bound to `params_sha256`, the hash of the exact params.
    """

    tool: str
    params: Any
    execution_id: str
    params_sha256: str
    expires_at: str


class ApprovalResolved(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_resolved"):
    """The execution waits no more: if it was approved, it starts now."""

    execution_id: str
    decision: ApprovalDecision


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_output"):
    """Live output of a tool that is still running."""

    tool: str
    execution_id: str
    stream: OutputStream
    text: str


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """A tool has done its work."""

    tool: str
    data: Any
    execution_id: str


class ToolFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_error"):
    """A tool could not do its work; the run goes on."""

    tool: str
    error: str
    code: ToolErrorCode
    execution_id: str


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="retry"):
    """A model's service failed before its first token; `next_provider` is asked next.

    `code` has a default for the sake of frames that are older than it.
    """

    provider: str
    attempt: int
    error: str
    next_provider: str
    code: ProviderErrorCode = "provider_unavailable"


class Usage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="usage"):
    """Tokens and cost (USD) of one call of a model; `estimated` where its service did not say."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    estimated: bool


class BudgetUsed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="budget"):
    """A budget is nearly used up, or this call would pass it: `spent` of `limit`, in `unit`, for each `span`."""

    scope: Literal["run", "session", "key", "service"]
    span: Literal["run", "session", "day", "month", "ever"]
    spent: float
    limit: float
    unit: Literal["usd", "tokens"]


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The run has ended by itself, at a limit, or because it was cancelled. The last event."""

    reason: EndReason
    run_id: str
    session_id: str | None
    usage: TotalUsage


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="error"):
    """The run has failed, or was interrupted. The last event. `durable_to` is the last event id kept before it."""

    error: str
    code: ErrorCode
    retryable: bool
    durable_to: int | None = None


Event = (
    Start
    | Token
    | ToolCalled
    | ApprovalRequired
    | ApprovalResolved
    | ToolOutput
    | ToolResult
    | ToolFailed
    | Retry
    | BudgetUsed
    | Usage
    | End
    | Error
)
Terminal = End | Error

EVENT_TYPES: Final = (
    *(Start, Token, ToolCalled, ApprovalRequired, ApprovalResolved, ToolOutput, ToolResult, ToolFailed),
    *(Retry, BudgetUsed, Usage, End, Error),
)
