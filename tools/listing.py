"""The tools as the API and the command line list them."""

from collections.abc import Callable
from typing import Any

from tools import assembly
from tools.execution.context import ToolContext
from tools.execution.request import grant_all


def describe_tools(context: ToolContext, granted: Callable[[str], bool] = grant_all) -> dict[str, Any]:
    """Return the tools whose names are `granted`, and the confinement of each kind of tool."""
    items = [
        {
            "name": tool.name,
            "description": tool.spec.description,
            "parameters": tool.spec.parameters,
            "effect": tool.effect,
            # Without facets only the rules on the tool as a whole hold: what params would decide is not known here.
            "policy": context.policy.decide(tool.name, tool.effect, "model", {}),
            "policy_for_caller": context.policy.decide(tool.name, tool.effect, "caller", {}),
            "confinement": tool.confinement,
            "enabled": not tool.disabled,
            "reason": tool.disabled or None,
        }
        for tool in context.registry
        if granted(tool.name)
    ]
    return {"items": items, "count": len(items), "confinement": assembly.confinement()}
