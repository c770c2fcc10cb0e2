"""The ways to a service, as the conversation sees them.

Refused               the service did not take the question; the message says why and what would be valid
Lost                  the run was lost sight of, and may go on without us
"""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from chat.client.events import Frame


class Refused(Exception):
    """The service did not take the question."""


class Lost(Exception):
    """The run was lost sight of."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the person asks for."""

    name: str
    params: dict[str, Any]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a run; what is None is the service's own choice."""

    message: str
    tool_calls: tuple[Call, ...] = ()
    session_id: str | None = None
    provider: str | None = None
    model: str | None = None
    instructions: str | None = None


class Reconnecting(msgspec.Struct, frozen=True, kw_only=True):
    """The connection was cut; the run is followed again in `seconds`."""

    attempt: int
    most: int
    seconds: float
    why: str


class Transport(Protocol):
    """One way to a service."""

    def ask(self, question: Question) -> AsyncGenerator[Frame | Reconnecting]:
        """Starts a run and follows it to its last event. Raises `Refused` and `Lost`."""
        ...

    async def cancel(self, run_id: str) -> None:
        """Stops a run; its last event still comes. Raises `Lost` where the service can't be told."""
        ...

    async def close(self) -> None: ...
