"""What there is to run, as the API and the command line tell of it."""

from collections.abc import Callable
from typing import Any

from tools import assembly
from tools.base import Tool
from tools.execution.context import ToolContext
from tools.execution.request import grant_all
from tools.policy import Policy


def describe_tools(toolset: ToolContext, granted: Callable[[str], bool] = grant_all) -> dict[str, Any]:
    """The tools that are `granted`, by their names, and for each kind of them what holds it."""
    items = [_told(tool, toolset.policy) for tool in toolset.registry if granted(tool.name)]
    return {"items": items, "count": len(items), "confinement": assembly.confinement()}


def _told(tool: Tool, policy: Policy) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.spec.description,
        "parameters": tool.spec.parameters,
        "effect": tool.effect,
        "policy": policy.decide(tool.name, tool.effect, "model", {}),
        "policy_for_caller": policy.decide(tool.name, tool.effect, "caller", {}),
        "confinement": tool.confinement,
        "enabled": not tool.disabled,
        "reason": tool.disabled or None,
    }
