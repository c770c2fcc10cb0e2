"""The request and response bodies of the tools API."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import model_validator

from tools.approvals.decisions import MAX_NOTE_CHARS
from tools.base import ApprovalDecision, Effect, Source, TaintSource
from tools.client_tools.results import MAX_ERROR_CHARS
from tools.policy import Decision
from web.schemas import Strict

Status = Literal[
    "awaiting_approval",
    "awaiting_client",
    "running",
    "succeeded",
    "failed",
    "denied",
    "timed_out",
    "cancelled",
    "interrupted",
]


class ToolOut(Schema):
    """A tool."""

    name: str = Field(description="The tool's name, such as `fs.read`.")
    description: str = Field(description="The description that a model reads.")
    parameters: dict[str, Any] = Field(description="The JSON Schema of the tool's params.")
    effect: Effect = Field(description="The tool's strongest effect.")
    policy: Decision = Field(
        description="The policy's decision when a model calls the tool. Rules about params may decide otherwise."
    )
    policy_for_caller: Decision = Field(description="The policy's decision when a caller calls the tool.")
    confinement: str = Field(description="The level that confines the tool. Empty if none does.")
    enabled: bool = Field(description="True if the tool can be used.")
    reason: str | None = Field(description="The reason why the tool is off. Null if it is not.")


class ToolList(Schema):
    """The tools that the caller may use."""

    items: list[ToolOut] = Field(description="The tools.")
    count: int = Field(description="The number of tools.")
    confinement: dict[str, dict[str, Any]] = Field(
        description="The confinement of `files` and of `commands`: its level, what it hides, and what it cannot hide."
    )


class ExecutionOut(Schema):
    """An execution of a tool: the request, the decision and the outcome."""

    id: UUID = Field(description="The execution's id.")
    owner: str = Field(
        description="The key or user that the execution belongs to, such as `user:7`, `key:<id>` or `operator`."
    )
    session_id: UUID | None = Field(description="The session of the run. Null if there is none.")
    run_id: UUID | None = Field(description="The run of the execution. Null if there is none.")
    tool: str = Field(description="The tool's name.")
    source: Source = Field(description="The side that called the tool.")
    params: Any = Field(description="The tool's params, secrets masked.")
    params_sha256: str = Field(description="The hash of the exact params, for a decision.")
    status: Status = Field(
        description="The state of the execution. Only `awaiting_approval`, `awaiting_client` and `running` change."
    )
    data: Any = Field(
        description="The result, secrets masked, and shortened if it is long. Null before it and after a failure."
    )
    output: str = Field(description="The printed text, or its beginning and end. `GET .../output` has all of it.")
    error: str | None = Field(description="The sentence of a failure. Null if there was none.")
    code: str | None = Field(description="The failure as a word for programs. Null if there was none.")
    confinement: str = Field(description="The level that confined the tool. Empty if none did.")
    created: datetime = Field(description="The time of the request.")
    started: datetime | None = Field(description="The time when the tool started. Null if it has not.")
    ended: datetime | None = Field(description="The time of the end. Null before it.")
    duration_ms: float | None = Field(
        description="The milliseconds that the tool ran. Null before its end, and if it never started."
    )
    output_size: int | None = Field(
        description="The bytes of the output. Null if the tool printed nothing and `data` is whole."
    )
    output_sha256: str | None = Field(description="The SHA-256 of the whole output. Null if there is no output.")
    truncated: bool = Field(description="True if only a part of the output is stored.")
    expires: datetime | None = Field(
        description="The time at which a waiting execution expires. Null if it needed no approval and no client."
    )
    decision: ApprovalDecision | None = Field(
        description="The decision about the execution. Null before it, and if none was needed."
    )
    decided: datetime | None = Field(description="The time of the decision. Null if there is none.")
    decided_by: str | None = Field(description="The key or user that decided. Null if there is none.")
    note: str | None = Field(description="The note of the decision, which the model reads. Null if there is none.")
    taint: dict[TaintSource, str] = Field(
        {},
        description="The sources of the texts from outside in the conversation of a call that needed an approval, each "
        "with the tool that brought the first.",
    )


class ExecutionList(Schema):
    """A page of executions."""

    items: list[ExecutionOut] = Field(description="The executions of the page, the newest first.")
    count: int = Field(description="The number of all executions. Above 10,000 it is a lower bound.")


class OutputOut(Schema):
    """A page of an output, cut between characters."""

    text: str = Field(description="The text of the page.")
    offset: int = Field(description="The first byte of the page.")
    size: int = Field(description="The size in bytes of the whole output.")
    next_offset: int | None = Field(description="The `offset` of the next page. Null on the last one.")


class ExecutionFilters(Schema):
    """Filters of the list of executions."""

    status: Status | None = Field(None, description="Only executions in this state.")
    session_id: UUID | None = Field(None, description="Only executions of this session.")
    run_id: UUID | None = Field(None, description="Only executions of this run.")


class DecisionIn(Strict):
    """A decision about an execution that waits."""

    params_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(
        description="The hash of the params that were shown to the caller. The decision applies only to them."
    )
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARS)] = Field(
        "", description="A reason, which the model reads after a denial."
    )


class ResultIn(Strict):
    """The result of a client tool: `data`, or the `error` that it failed with."""

    data: Any = Field(None, description="Any JSON value: the result.")
    error: Annotated[str, Field(min_length=1, max_length=MAX_ERROR_CHARS)] | None = Field(
        None, description="The failure as a sentence for the model. Null if the tool succeeded."
    )

    @model_validator(mode="after")
    def one_outcome(self) -> "ResultIn":
        if ("data" in self.model_fields_set) == (self.error is not None):
            raise ValueError("give either data or error")
        return self
