"""The port to the agent behind the tool `agent.run`. The app `chat` registers it, as this app may not import it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from access.caller import Caller
from tools.base import ToolSpec
from tools.mcp_server.messages.steps import ClientCall

SCOPE: Final = "chat"
"""The scope of callers who may run the agent."""


class Agent(Protocol):
    """Runs the agent for a caller."""

    @property
    def spec(self) -> ToolSpec:
        """The agent as a tool."""
        ...

    @property
    def output_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of the structured result."""
        ...

    def call(self, arguments: Mapping[str, Any], caller: Caller, reference: str) -> ClientCall:
        """Return a call that starts a run, or follows one."""
        ...

    def resumed(self, run_id: str, cursor: int, caller: Caller, answered: Callable[[], Awaitable[None]]) -> ClientCall:
        """Return a call that follows a run after the event with this number, when the answer is recorded."""
        ...

    async def cancel_call(self, reference: str, caller: Caller) -> None:
        """Cancel the run of a call with this reference, if exactly one is open."""
        ...

    async def close(self) -> None:
        """End the runs of this process."""
        ...


class _Registered:
    agent: Agent | None = None


def comes_from(agent: Agent) -> None:
    """Register the agent."""
    _Registered.agent = agent


def registered() -> Agent | None:
    """Return the agent; None if there is none."""
    return _Registered.agent
