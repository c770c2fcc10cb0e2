"""The events of a run, as frozen values: they are streamed, stored and audited.

`docs/protocol.md` describes them to clients. Each has a literal `type` as its tag, which comes first in its JSON.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from chat.engine.model_port import ErrorCode as ProviderErrorCode
from tools.base import ApprovalDecision, OutputStream, Source, TaintSource, ToolErrorCode, WaitsFor

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
ErrorCode = Literal[ProviderErrorCode, "interrupted", "shutting_down", "storage", "internal"]


COST_DIGITS: Final = 10
"""Digits of a cost in USD after the point. Sums are rounded to them: 0.1 + 0.2 is 0.3, and not 0.30000000000000004."""


ToolName = Annotated[str, Meta(description="The tool's name, such as `fs.read`.")]
ExecutionId = Annotated[str, Meta(description="The execution's id, a UUID, for `/tools/executions/{execution_id}`.")]

PARAMS: Final = "The tool's params, secrets masked. A text of over 4 KiB is an object with its `sha256` and `size`."
REBUILT: Final = "True if this is a short version of a run whose frames were deleted; absent otherwise."
WARNING: Final = "A problem of the answer, such as a missing text; absent if there is none."
OUTPUT: Final = "The value of a structured answer, which matches `output_schema`; absent if none was asked for."
WAITS_FOR: Final = "The answer that the call needs before it runs; absent if it runs at once."
TAINT: Final = (
    "The sources of the texts from outside in the conversation, each with the tool that brought the first; absent if "
    "there are none."
)
DURABLE: Final = "The number of the last stored event before the process of the run died; absent otherwise."


class TotalUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost of a run so far."""

    input_tokens: Annotated[int, Meta(description="Tokens that the models read, cached ones included.")] = 0
    output_tokens: Annotated[int, Meta(description="Tokens that the models wrote, reasoning included.")] = 0
    cached_tokens: Annotated[int, Meta(description="Input tokens that a provider had in its cache.")] = 0
    reasoning_tokens: Annotated[int, Meta(description="Output tokens of the models' reasoning.")] = 0
    cost_usd: Annotated[float | None, Meta(description="The cost in USD; null if a part's price is unknown.")] = None
    estimated: Annotated[bool, Meta(description="True if a part is the service's estimate.")] = False


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """The run has started. Always the first event."""

    run_id: Annotated[str, Meta(description="The run's id, a UUID.")]
    session_id: Annotated[str | None, Meta(description="The session's id, a UUID; null if nothing is stored.")]
    provider: Annotated[str | None, Meta(description="The provider that is asked first; null if no model is.")]
    model: Annotated[str | None, Meta(description="The model that is asked first; null if none is.")]
    rebuilt: Annotated[bool, Meta(description=REBUILT)] | msgspec.UnsetType = msgspec.UNSET


class Token(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="token"):
    """A piece of the model's answer."""

    token: Annotated[str, Meta(description="The text of the piece. The answer is all pieces, joined.")]


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """A piece of the model's reasoning, as far as its service shows it. Only in runs that asked for it."""

    text: Annotated[
        str, Meta(description="The text of the piece. An answer's pieces, joined, have at most 100,000 characters.")
    ]


class ToolCalled(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A tool is about to run."""

    tool: ToolName
    params: Annotated[Any, Meta(description=PARAMS)]
    execution_id: ExecutionId
    source: Annotated[Source, Meta(description="The side that called the tool.")]
    waits_for: Annotated[WaitsFor, Meta(description=WAITS_FOR)] | msgspec.UnsetType = msgspec.UNSET


class ApprovalRequired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_required"):
    """An execution waits for a decision. The run is `waiting` in the meantime."""

    tool: ToolName
    params: Annotated[Any, Meta(description="The tool's params as they would run, secrets masked.")]
    execution_id: ExecutionId
    params_sha256: Annotated[str, Meta(description="The hash of the exact params. A decision repeats it.")]
    expires_at: Annotated[str, Meta(description="The time at which the execution expires, in ISO 8601.")]
    taint: Annotated[dict[TaintSource, str], Meta(description=TAINT)] | msgspec.UnsetType = msgspec.UNSET


class ApprovalResolved(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="approval_resolved"):
    """The execution no longer waits. If it was approved, it starts now."""

    execution_id: ExecutionId
    decision: Annotated[ApprovalDecision, Meta(description="The decision, or the reason why there is none.")]


class ClientToolCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="client_tool_call"):
    """A tool of the client is called, and waits for its result. The run is `waiting` in the meantime."""

    tool: ToolName
    params: Annotated[Any, Meta(description="The tool's params, whole.")]
    execution_id: ExecutionId
    call_id: Annotated[str, Meta(description="The model's id of the call; empty if it gave none.")]
    expires_at: Annotated[str, Meta(description="The time at which the call times out, in ISO 8601.")]


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_output"):
    """Live output of a tool that is still running."""

    tool: ToolName
    execution_id: ExecutionId
    stream: Annotated[OutputStream, Meta(description="The stream that the tool wrote to.")]
    text: Annotated[str, Meta(description="The piece of output, secrets masked.")]


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """A tool has succeeded."""

    tool: ToolName
    data: Annotated[Any, Meta(description="The result, as `docs/protocol.md` lists it for each tool.")]
    execution_id: ExecutionId


class ToolFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_error"):
    """A tool has failed. The run continues."""

    tool: ToolName
    error: Annotated[str, Meta(description="A sentence: the problem, and what is valid.")]
    code: Annotated[ToolErrorCode, Meta(description="The problem as a word for programs.")]
    execution_id: ExecutionId


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="retry"):
    """A model call is repeated: it failed before its first token, or its answer did not fit the request."""

    provider: Annotated[str, Meta(description="The provider that failed.")]
    attempt: Annotated[int, Meta(description="The number of the failed attempt, from 1.")]
    error: Annotated[str, Meta(description="A sentence that states the failure.")]
    next_provider: Annotated[str, Meta(description="The provider that is called next. It may be the same.")]
    # Stored frames from before this field was added have no code.
    code: Annotated[ProviderErrorCode, Meta(description="The failure as a word for programs.")] = "provider_unavailable"


class Compaction(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="compaction"):
    """The conversation was shortened for the model. Stored messages stay."""

    before: Annotated[int, Meta(description="The tokens of the whole conversation, estimated.")]
    after: Annotated[int, Meta(description="The tokens that the model gets, estimated.")]
    results: Annotated[int, Meta(description="The number of tool results that were replaced by a line.")]
    left_out: Annotated[int, Meta(description="The number of messages that were left out.")]
    # Stored frames from before this field was added do not have it.
    summarized: Annotated[int, Meta(description="The number of messages that a summary now stands for.")] = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="usage"):
    """Tokens and cost of one model call."""

    input_tokens: Annotated[int, Meta(description="Tokens that the model read, cached ones included.")]
    output_tokens: Annotated[int, Meta(description="Tokens that the model wrote, reasoning included.")]
    cached_tokens: Annotated[int, Meta(description="Input tokens that the provider had in its cache.")]
    reasoning_tokens: Annotated[int, Meta(description="Output tokens of the model's reasoning.")]
    cost_usd: Annotated[float | None, Meta(description="The cost in USD; null if the price is unknown.")]
    estimated: Annotated[bool, Meta(description="True if the tokens are the service's estimate.")]


class BudgetUsed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="budget"):
    """Four fifths of a budget are used, or the next call would exceed it. Sent once a run for each budget."""

    scope: Annotated[Literal["run", "session", "key", "service"], Meta(description="The owner of the budget.")]
    span: Annotated[Literal["run", "session", "day", "month", "ever"], Meta(description="The period of the budget.")]
    spent: Annotated[float, Meta(description="The amount that is spent or reserved, in `unit`.")]
    limit: Annotated[float, Meta(description="The whole budget, in `unit`.")]
    unit: Annotated[Literal["usd", "tokens"], Meta(description="The unit of both amounts.")]


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The run has completed, reached a limit or was cancelled. The last event."""

    reason: Annotated[EndReason, Meta(description="The reason of the end.")]
    run_id: Annotated[str, Meta(description="The run's id, a UUID.")]
    session_id: Annotated[str | None, Meta(description="The session's id, a UUID; null if nothing is stored.")]
    usage: Annotated[TotalUsage, Meta(description="Tokens and cost of all model calls of the run.")]
    warning: Annotated[str, Meta(description=WARNING)] | msgspec.UnsetType = msgspec.UNSET
    output: Annotated[Any, Meta(description=OUTPUT)] = msgspec.UNSET


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="error"):
    """The run has failed or was interrupted. The last event."""

    error: Annotated[str, Meta(description="A sentence that states the failure.")]
    code: Annotated[ErrorCode, Meta(description="The failure as a word for programs.")]
    retryable: Annotated[bool, Meta(description="True if the same request may succeed later.")]
    durable_to: Annotated[int | None, Meta(description=DURABLE)] = None


Event = (
    Start
    | Token
    | Reasoning
    | ToolCalled
    | ApprovalRequired
    | ApprovalResolved
    | ClientToolCall
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
    ClientToolCall,
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
