"""The tools and their confinement, as the API and the command line show them."""

from collections.abc import Callable
from typing import Any, Final

from tools import conf, resources
from tools.execution.context import ToolContext
from tools.execution.request import grant_all
from tools.policy import PolicyInput

FILES_HIDE: Final = "everything outside the caller's workspace, git's own folders, and files with the name of a secret"
FILES_CANNOT_HIDE: Final = "a secret in a file with an ordinary name, unless it has the shape of a known kind of secret"


def describe_tools(context: ToolContext, granted: Callable[[str], bool] = grant_all) -> dict[str, Any]:
    """Return the tools whose names are `granted`, and the confinement of each kind of tool."""
    items = [
        {
            "name": tool.name,
            "description": tool.spec.description,
            "parameters": tool.spec.parameters,
            "effect": tool.effect,
            # Without facets only the rules on the tool as a whole hold: what params would decide is not known here.
            "policy": context.policy.decide(PolicyInput(tool=tool.name, effect=tool.effect, source="model")),
            "policy_for_caller": context.policy.decide(
                PolicyInput(tool=tool.name, effect=tool.effect, source="caller")
            ),
            "confinement": tool.confinement,
            "enabled": not tool.disabled,
            "reason": tool.disabled or None,
        }
        for tool in context.registry
        if granted(tool.name)
    ]
    return {"items": items, "count": len(items), "confinement": confinement()}


def confinement() -> dict[str, dict[str, object]]:
    """Return for each kind of confined tool its level, and what the level hides and cannot hide."""
    return {
        "files": {
            "level": str(resources.workspaces().root.confinement),
            "hides": [FILES_HIDE],
            "cannot_hide": [FILES_CANNOT_HIDE],
        },
        "commands": _commands(),
    }


def confinement_levels() -> dict[str, object]:
    """Return the levels only, and whether commands may write."""
    commands = _commands()
    return {
        "files": str(resources.workspaces().root.confinement),
        "commands": commands["level"],
        "commands_reason": commands["reason"],
        "commands_may_write": commands["writable"],
        "commands_profile": commands["profile"],
    }


def _commands() -> dict[str, object]:
    level, reason = resources.commands_confinement()
    return {
        "level": level.level if level else None,
        "reason": reason or None,
        "writable": bool(level and conf.terminal_limits().writable),
        "profile": conf.terminal_limits().profile,
        "hides": list(level.hides) if level else [],
        "cannot_hide": list(level.cannot_hide) if level else [],
    }
