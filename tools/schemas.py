"""The request and response bodies of the tools API."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field

from tools.approvals.decisions import MAX_NOTE_CHARS
from tools.base import ApprovalDecision, Effect, Source
from tools.policy import Decision
from web.schemas import Answer, Strict

Status = Literal[
    "awaiting_approval", "running", "succeeded", "failed", "denied", "timed_out", "cancelled", "interrupted"
]


class ToolOut(Answer):
    """A tool."""

    name: str
    """The tool's name, such as `fs.read`."""
    description: str
    """The description that a model reads."""
    parameters: dict[str, Any]
    """The JSON Schema of the tool's params."""
    effect: Effect
    """The tool's strongest effect."""
    policy: Decision
    """The policy's decision when a model calls the tool. Rules about params may decide otherwise for one execution."""
    policy_for_caller: Decision
    """The policy's decision when a caller calls the tool."""
    confinement: str
    """The level that confines the tool. Empty if none does."""
    enabled: bool
    """True if the tool can be used."""
    reason: str | None
    """The reason why the tool is off. Null if it is not."""


class ToolList(Answer):
    """The tools that the caller may use."""

    items: list[ToolOut]
    """The tools."""
    count: int
    """The number of tools."""
    confinement: dict[str, dict[str, Any]]
    """The confinement of `files` and of `commands`: its level, what it hides, and what it cannot hide."""


class ExecutionOut(Answer):
    """An execution of a tool: the request, the decision and the outcome."""

    id: UUID
    """The execution's id."""
    owner: str
    """The key or user that the execution belongs to, such as `user:7`, `key:<id>` or `operator`."""
    session_id: UUID | None
    """The session of the run. Null if there is none."""
    run_id: UUID | None
    """The run of the execution. Null if there is none."""
    tool: str
    """The tool's name."""
    source: Source
    """The side that called the tool."""
    params: Any
    """The tool's params, secrets masked."""
    params_sha256: str
    """The hash of the exact params, for a decision."""
    status: Status
    """The state of the execution. Only `awaiting_approval` and `running` change."""
    data: Any
    """The tool's result, secrets masked, and shortened if it is long. Null before it and after a failure."""
    output: str
    """The text that the tool printed, or its beginning and its end. `GET .../output` has all of it."""
    error: str | None
    """The sentence of a failure. Null if there was none."""
    code: str | None
    """The failure as a word for programs. Null if there was none."""
    confinement: str
    """The level that confined the tool. Empty if none did."""
    created: datetime
    """The time of the request."""
    started: datetime | None
    """The time when the tool started. Null if it has not."""
    ended: datetime | None
    """The time of the end. Null before it."""
    duration_ms: float | None
    """The milliseconds that the tool ran. Null before its end, and if it never started."""
    output_size: int | None
    """The size in bytes of the whole output. Null if the tool printed nothing and its result fits into `data`."""
    output_sha256: str | None
    """The SHA-256 of the whole output. Null if there is no output."""
    truncated: bool
    """True if the whole output was longer than what is kept of it."""
    expires: datetime | None
    """The time at which a waiting execution expires. Null if no approval was needed."""
    decision: ApprovalDecision | None
    """The decision about the execution. Null before it, and if none was needed."""
    decided: datetime | None
    """The time of the decision. Null if there is none."""
    decided_by: str | None
    """The key or user that decided. Null if there is none."""
    note: str | None
    """The note of the decision, which the model reads. Null if there is none."""


class ExecutionList(Answer):
    """A page of executions."""

    items: list[ExecutionOut]
    """The executions of the page, the newest first."""
    count: int
    """The number of all executions: exact up to 10,000, above that larger than the page's end if more follow."""


class OutputOut(Answer):
    """A page of an output, cut between characters."""

    text: str
    """The text of the page."""
    offset: int
    """The first byte of the page."""
    size: int
    """The size in bytes of the whole output."""
    next_offset: int | None
    """The `offset` of the next page. Null on the last one."""


class ExecutionFilters(Answer):
    """Filters of the list of executions."""

    status: Status | None = None
    """Only executions in this state."""
    session_id: UUID | None = None
    """Only executions of this session."""
    run_id: UUID | None = None
    """Only executions of this run."""


class DecisionIn(Strict):
    """A decision about an execution that waits."""

    params_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The hash of the params that were shown to the caller. The decision applies only to them."""
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARS)] = ""
    """A reason, which the model reads after a denial."""
