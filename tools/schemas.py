"""The request and response bodies of the tools API."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict

from tools.approvals.decisions import MAX_NOTE_CHARS


class ToolOut(Schema):
    """A tool. `parameters` is the JSON Schema of its params; `reason` is the reason why it is off, if it is.

    `policy` is the decision when a model calls it, `policy_for_caller` when a caller does. Rules about params may
    decide otherwise for one execution. `confinement` is the level that confines the tool.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    effect: str
    policy: str
    policy_for_caller: str
    confinement: str
    enabled: bool
    reason: str | None


class ToolList(Schema):
    """The tools, and for each kind its confinement: the level, and what it hides and cannot hide."""

    items: list[ToolOut]
    count: int
    confinement: dict[str, dict[str, Any]]


class ExecutionOut(Schema):
    """An execution. `output_size` (bytes) and `output_sha256` are those of output that is stored separately."""

    id: UUID
    owner: str
    session_id: UUID | None
    run_id: UUID | None
    tool: str
    source: str
    params: Any
    params_sha256: str
    status: str
    data: Any
    output: str
    error: str | None
    code: str | None
    confinement: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    duration_ms: float | None
    output_size: int | None
    output_sha256: str | None
    truncated: bool
    expires: datetime | None
    decision: str | None
    decided: datetime | None
    decided_by: str | None
    note: str | None


class ExecutionList(Schema):
    items: list[ExecutionOut]
    count: int


class OutputOut(Schema):
    """A page of an output. `offset` and `size` are in bytes; `next_offset` is null on the last page."""

    text: str
    offset: int
    size: int
    next_offset: int | None


class ExecutionFilters(Schema):
    """Filters of the list of executions."""

    status: (
        Literal[
            "awaiting_approval", "running", "succeeded", "failed", "denied", "timed_out", "cancelled", "interrupted"
        ]
        | None
    ) = None
    session_id: UUID | None = None
    run_id: UUID | None = None


class DecisionIn(BaseModel):
    """A decision. `params_sha256` is the hash of the params that were shown to the caller."""

    model_config = ConfigDict(extra="forbid")

    params_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARS)] = ""
