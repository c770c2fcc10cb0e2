"""A planned week: the values of all rows, before they are written."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chat.demo.content import Key, Person
from chat.engine.events import Event, TotalUsage


class PlannedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool. Without `ended`, it waits; `decision` is empty if no decision was needed or made."""

    id: UUID
    call_id: str
    tool: str
    params: dict[str, Any]
    params_sha256: str
    created: datetime
    needs_approval: bool = False
    decision: str = ""
    decided: datetime | None = None
    decided_by: str = ""
    note: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    data: dict[str, Any] | None = None
    output: str = ""
    error: str = ""
    code: str = ""


class PlannedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message. A summary stands for the `summarizes` messages of the session before it."""

    role: str
    text: str
    created: datetime
    calls: tuple[dict[str, str], ...] = ()
    call_id: str = ""
    tool: str = ""
    is_error: bool = False
    reasoning: str = ""
    picture: bytes = b""
    summarizes: int = 0
    usage: TotalUsage | None = None


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its messages, executions and events. `status` is that of `chat.models.Run`."""

    id: UUID
    status: str
    reason: str
    provider: str
    model: str
    created: datetime
    ended: datetime | None
    usage: TotalUsage
    messages: tuple[PlannedMessage, ...]
    executions: tuple[PlannedExecution, ...]
    events: tuple[Event, ...]
    error: str = ""
    retryable: bool = False
    options: dict[str, Any] = {}


class PlannedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of the key with this name."""

    id: UUID
    key: str
    user: str
    title: str
    archived: bool
    runs: tuple[PlannedRun, ...]

    @property
    def updated(self) -> datetime:
        """The time of the newest run."""
        return self.runs[-1].created


class PlannedSpeech(msgspec.Struct, frozen=True, kw_only=True):
    """A call of `/speech/`: a synthesis of `text`, or a transcription of `audio`. It failed if it has an error."""

    id: UUID
    key: str
    created: datetime
    milliseconds: float
    text: str
    audio: bytes
    cost_usd: float
    is_synthesis: bool
    error: str = ""


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is written, in the order of time."""

    began: datetime
    people: tuple[Person, ...]
    keys: tuple[Key, ...]
    sessions: tuple[PlannedSession, ...]
    speech: tuple[PlannedSpeech, ...]
