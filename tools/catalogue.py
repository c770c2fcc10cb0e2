"""What there is to run, as the API and the command line tell of it."""

from typing import Any

from tools import toolbox
from tools.base import Tool
from tools.execution import Toolset
from tools.policy import Policy


def catalogue(toolset: Toolset) -> dict[str, Any]:
    """The tools, and for each kind of them what holds it."""
    items = [_told(tool, toolset.policy) for tool in toolset.registry]
    return {"items": items, "count": len(items), "confinement": toolbox.confinement()}


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
