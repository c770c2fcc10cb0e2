"""The tools that the server offers to a caller, and the executor that runs them."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from access.caller import Caller
from spending.accounts import payer
from storage.writer import writer
from tools.assembly import tool_context
from tools.base import Tool
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools
from tools.mcp_server import agents
from tools.output.masking import Masker
from tools.policy import PolicyInput
from tools.tool_search import search_tool


def is_stored() -> bool:
    """Return whether executions are stored, so that one can wait for a decision."""
    return bool(settings.ENABLE_PERSISTENCE)


def masker() -> Masker:
    """Return the masker of texts for clients."""
    return tool_context().masker


def offered_to(caller: Caller) -> dict[str, Tool]:
    """Return the tools that the caller may run, by name, in a stable order."""
    context = tool_context()
    return {
        tool.name: tool
        for tool in context.registry
        # A client lists all tools, so it needs no search.
        if tool.name != search_tool.NAME
        and caller.scopes.may_use(tool.name)
        and not tool.disabled
        # Without facets, only a rule that denies the tool with any params holds.
        and context.policy.decide(PolicyInput(tool=tool.name, effect=tool.effect, source="caller")) != "deny"
    }


def agent_of(caller: Caller) -> agents.Agent | None:
    """Return the agent if the caller may run it."""
    return agents.registered() if caller.scopes.may(agents.SCOPE) else None


def described(caller: Caller) -> list[dict[str, Any]]:
    """Return the tools of the caller as `tools/list` has them."""
    described = [
        {
            "name": tool.name,
            "description": tool.spec.description,
            "inputSchema": dict(tool.spec.parameters),
            "annotations": {
                "readOnlyHint": tool.effect == "read",
                "destructiveHint": tool.effect != "read",
                "openWorldHint": tool.effect == "network",
            },
        }
        for tool in offered_to(caller).values()
    ]
    if (agent := agent_of(caller)) is not None:
        described.append(
            {
                "name": agent.spec.name,
                "description": agent.spec.description,
                "inputSchema": dict(agent.spec.parameters),
                "outputSchema": dict(agent.output_schema),
                "annotations": {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": True},
            }
        )
    return described


def executor_of(caller: Caller) -> ToolExecutor:
    """Return the executor of the caller's tools."""
    stored = is_stored()
    write: Callable[[Callable[[], Any]], Awaitable[Any]] = writer.write if stored else _discard
    return ToolExecutor(
        tool_context(),
        payer(caller),
        write,
        offered=OfferedTools(),
        stored=stored,
        granted=caller.scopes.may_use,
    )


async def _discard(_: object) -> None:
    """Store nothing."""
