"""The interface of a transport to a service.

- `Refused`: the service rejected the question; the message states the reason.
- `Lost`: the run can no longer be followed, and may continue.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from orchestrator_client import Call, Event, Image, Reconnecting

Item = Mapping[str, Any]
"""An object of the API, as `docs/protocol.md` describes it."""

Verdict = Literal["approve", "deny"]


class Refused(Exception):
    """The service rejected the question."""


class Lost(Exception):
    """The run can no longer be followed."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question that starts a run. The service chooses a value for each field that is None."""

    message: str
    tool_calls: tuple[Call, ...] = ()
    session_id: str | None = None
    provider: str | None = None
    model: str | None = None
    instructions: str | None = None
    reasoning: Literal["show"] | None = None
    attachments: tuple[Image, ...] = ()


class Transport(Protocol):
    """A transport to a service."""

    def ask(self, question: Question) -> AsyncGenerator[Event | Reconnecting]:
        """Start a run and follow it to its last event. Raise `Refused` and `Lost`."""
        ...

    async def cancel(self, run_id: str) -> None:
        """Stop a run. Its last event still arrives. Raise `Lost` if the service cannot be reached."""
        ...

    async def compact(self, session_id: str) -> Item:
        """Summarise the older messages of a session, and return the run at its end. Raise `Refused` and `Lost`."""
        ...

    async def execution(self, execution_id: str) -> Item:
        """Return an execution with its whole params. Raise `Refused` and `Lost`."""
        ...

    async def decide(self, execution_id: str, verdict: Verdict, params_sha256: str) -> None:
        """Approve or deny an execution that waits. Raise `Refused` and `Lost`."""
        ...

    async def tools(self) -> Sequence[Item]:
        """Return the tools that the user may use. Raise `Refused` and `Lost`."""
        ...

    async def providers(self) -> Sequence[Item]:
        """Return the providers of models. Raise `Refused` and `Lost`."""
        ...

    async def sessions(self, most: int) -> Sequence[Item]:
        """Return the newest sessions. Raise `Refused` and `Lost`."""
        ...

    async def close(self) -> None: ...
