"""The tools of this process, made from its settings.

To add a tool, write its file in `builtin/` and add its line to `registry`.
"""

from functools import cache
from typing import Final

from speech.budgets import CallBudget
from speech.conf import service as speech_service
from tools import conf, resources
from tools.builtin import fs, git, output, patch, speech, terminal
from tools.execution.context import ToolContext
from tools.registry import Registry
from tools.resources import outputs as outputs
from tools.resources import workspace as workspace
from tools.workspace import WorkspaceUnavailableError

FILES_HIDE: Final = "everything outside ALLOW_FS_BASE, git's own folders, and files with the name of a secret"
FILES_CANNOT_HIDE: Final = "a secret in a file with an ordinary name, unless it has the shape of a known kind of secret"


@cache
def registry() -> Registry:
    """Return all tools of this process. The first call takes a moment, because it tests the sandbox."""
    level, missing = resources.commands_confinement()
    return Registry(
        (
            *fs.tools(workspace()),
            *patch.tools(workspace()),
            *git.tools(resources.git_runner(), disabled=_off("ENABLE_GIT", is_on=conf.git_enabled())),
            *terminal.tools(
                workspace(),
                resources.sandbox(),
                limits=conf.terminal_limits(),
                confinement=_named(level.level) if level else "",
                disabled=_off("ENABLE_TERMINAL", is_on=conf.terminal_enabled()) or missing,
            ),
            *speech.tools(speech_service(), workspace(), CallBudget),
            *output.tools(outputs()),
        )
    )


def names() -> tuple[str, ...]:
    """Return the names of the tools; none if the workspace cannot be opened."""
    # The service reports at its start-up that the workspace cannot be opened; a check of names need not fail too.
    try:
        return registry().names
    except (OSError, WorkspaceUnavailableError):
        return ()


@cache
def tool_context() -> ToolContext:
    """Return the context that all executors of this process share."""
    return ToolContext(
        registry=registry(),
        policy=conf.policy(),
        masker=conf.masker(),
        outputs=outputs(),
        result_bytes=conf.result_bytes(),
        approval_seconds=conf.approval_seconds(),
    )


def confinement() -> dict[str, dict[str, object]]:
    """Return for each kind of confined tool its level, and what the level hides and cannot hide."""
    return {
        "files": {
            "level": str(workspace().confinement),
            "hides": [FILES_HIDE],
            "cannot_hide": [FILES_CANNOT_HIDE],
        },
        "commands": _commands(),
    }


def confinement_levels() -> dict[str, object]:
    """Return the levels only, and whether commands may write."""
    commands = _commands()
    return {
        "files": str(workspace().confinement),
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


def _named(level: str) -> str:
    """Return the level as each execution records it: with the profile, unless that is the default."""
    profile = conf.terminal_limits().profile
    return level if profile == "read" else f"{level}, profile {profile}"


def _off(switch: str, *, is_on: bool) -> str:
    return "" if is_on else f"{switch} is false"
