"""The interface of a transport to a service.

- `Refused`: the service rejected the question; the message states the reason.
- `Lost`: the run can no longer be followed, and may continue.
"""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from chat.client.events import Frame


class Refused(Exception):
    """The service rejected the question."""


class Lost(Exception):
    """The run can no longer be followed."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the user requests."""

    name: str
    params: dict[str, Any]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question that starts a run. The service chooses a value for each field that is None."""

    message: str
    tool_calls: tuple[Call, ...] = ()
    session_id: str | None = None
    provider: str | None = None
    model: str | None = None
    instructions: str | None = None


class Reconnecting(msgspec.Struct, frozen=True, kw_only=True):
    """A cut connection. The run is followed again in `seconds`."""

    attempt: int
    max_attempts: int
    seconds: float
    why: str


class Transport(Protocol):
    """A transport to a service."""

    def ask(self, question: Question) -> AsyncGenerator[Frame | Reconnecting]:
        """Start a run and follow it to its last event. Raise `Refused` and `Lost`."""
        ...

    async def cancel(self, run_id: str) -> None:
        """Stop a run. Its last event still arrives. Raise `Lost` if the service cannot be reached."""
        ...

    async def close(self) -> None: ...
