"""The objects of the API as frozen values. Ids are texts, and unknown fields are ignored."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A part of a list. `count` counts all of it."""

    items: tuple[Item, ...]
    count: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and cost. A number is None if it is unknown."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    estimated: bool = False


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that waits for a decision."""

    execution_id: str
    tool: str
    params: Any
    params_sha256: str
    expires_at: datetime
    taint: dict[str, str] = {}


class PendingCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a client tool that waits for its result."""

    execution_id: str
    tool: str
    params: Any
    call_id: str
    expires_at: datetime


class CompactionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a conversation in tokens before and after it was shortened, and the numbers of shortened parts."""

    before: int
    after: int
    results: int
    left_out: int
    summarized: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `compaction`, `warning` and what it waits for are only in the answer of `compact`."""

    id: str
    session_id: str | None
    status: str
    reason: str | None
    provider: str | None
    model: str | None
    text: str
    usage: Usage
    cost_usd: float | None
    error: str | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    resumed_from: str | None = None
    taint: dict[str, str] = {}
    approval: Approval | None = None
    client_tool_calls: tuple[PendingCall, ...] = ()
    output: Any = None
    compaction: CompactionReport | None = None
    warning: str | None = None


class CancelledRun(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run after a request to cancel it."""

    id: str
    status: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    owner: str
    title: str
    user: str
    metadata: dict[str, Any]
    active_run: str | None
    archived: bool
    created: datetime
    updated: datetime
    taint: dict[str, str] = {}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a session. `role` is `user`, `assistant`, `tool` or `summary`."""

    id: int
    run_id: str
    role: str
    content: str
    attachments: int
    tool_calls: tuple[dict[str, Any], ...] | None
    call_id: str | None
    tool: str | None
    is_error: bool
    provider: str | None
    model: str | None
    usage: Usage | None
    reasoning: str | None
    created: datetime
    summarizes: tuple[tuple[int, int], ...] | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of models."""

    name: str
    configured: bool
    reason: str | None
    default: bool
    default_model: str | None
    models: tuple[str, ...]
    capabilities: tuple[str, ...]
    warning: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the service."""

    name: str
    description: str
    parameters: dict[str, Any]
    effect: str
    policy: str
    policy_for_caller: str
    confinement: str
    enabled: bool
    reason: str | None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution of a tool: the request, the decision and the outcome."""

    id: str
    owner: str
    session_id: str | None
    run_id: str | None
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
    taint: dict[str, str] = {}


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a folder in the workspace. `type` is `file`, `directory`, `symlink` or `other`."""

    path: str
    type: str
    size: int
    modified: str


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a folder. They are `truncated` if there are more."""

    items: tuple[FileEntry, ...]
    count: int
    truncated: bool


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file after it was written."""

    path: str
    size: int
    sha256: str
    created: bool
