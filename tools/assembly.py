"""The tools of this service, from its settings. Adding a tool: its file in `builtin/`, and its line here."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

from speech import conf as speech_conf
from speech.budgets import CallBudget
from tools import conf
from tools.base import Tool
from tools.builtin import fs, git, output, patch, speech, terminal
from tools.execution.context import ToolContext
from tools.git.running import Runner
from tools.output.store import OutputStore
from tools.registry import Registry
from tools.sandbox.confinement import Confinement
from tools.sandbox.refusals import SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.workspace import Workspace, WorkspaceUnavailableError

FILES_HIDE: Final = "all that is not beneath ALLOW_FS_BASE, git's own folders, and files with the name of a secret"
FILES_CANNOT_HIDE: Final = "a secret in a file with an ordinary name, but for what has the shape of one"


@cache
def workspace() -> Workspace:
    """The one workspace of this process; its folder is made where it is missing."""
    base = conf.workspace_base()
    base.mkdir(parents=True, exist_ok=True)
    return Workspace(base, limits=conf.workspace_limits(), secret_names=conf.secret_names())


@cache
def outputs() -> OutputStore:
    """Where this process keeps long outputs."""
    return OutputStore(conf.output_folder(), conf.max_output_bytes())


@cache
def sandbox() -> Sandbox:
    """Where this process runs commands. What earlier ones left behind is swept away."""
    made = Sandbox()
    made.temporary_folders.sweep()
    return made


@cache
def commands_confinement() -> Confinement | SandboxUnavailableError:
    """What holds a command here, seen to hold by a trial; or why nothing does, and no command runs."""
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(lambda: asyncio.run(sandbox().probe())).result()
        except SandboxUnavailableError as error:
            return error


@cache
def registry() -> Registry:
    """Every tool that this process has. The first call takes a moment: it tries the sandbox."""
    return Registry(
        (
            *fs.tools(workspace()),
            *patch.tools(workspace()),
            *git.tools(Runner(workspace()), disabled=_off("ENABLE_GIT", is_on=conf.git_enabled())),
            *_terminal(),
            *speech.tools(speech_conf.service(), workspace(), CallBudget),
            *output.tools(outputs()),
        )
    )


def names() -> tuple[str, ...]:
    """The names of the tools; none where the workspace cannot be opened, of which the service tells at its start."""
    try:
        return registry().names
    except (OSError, WorkspaceUnavailableError):
        return ()


@cache
def tool_context() -> ToolContext:
    """All that the doors of this process have in common."""
    return ToolContext(
        registry=registry(),
        policy=conf.policy(),
        masker=conf.masker(),
        outputs=outputs(),
        result_bytes=conf.result_bytes(),
        approval_seconds=conf.approval_seconds(),
    )


def confinement() -> dict[str, dict[str, object]]:
    """For each kind of tool that is confined: its level, what that keeps away, and what it cannot."""
    return {
        "files": {
            "level": str(workspace().confinement),
            "hides": [FILES_HIDE],
            "cannot_hide": [FILES_CANNOT_HIDE],
        },
        "commands": _commands_told(),
    }


def confinement_levels() -> dict[str, object]:
    """The same in short: the levels, and whether commands may write."""
    commands = _commands_told()
    return {
        "files": str(workspace().confinement),
        "commands": commands["level"],
        "commands_reason": commands["reason"],
        "commands_may_write": commands["writable"],
    }


def _commands_told() -> dict[str, object]:
    level = commands_confinement()
    if isinstance(level, SandboxUnavailableError):
        return {"level": None, "reason": str(level), "writable": False, "hides": [], "cannot_hide": []}
    writable = conf.terminal_limits().writable
    told = {"writable": writable, "hides": list(level.hides), "cannot_hide": list(level.cannot_hide)}
    return {"level": level.level, "reason": None, **told}


def _terminal() -> tuple[Tool, ...]:
    level = commands_confinement()
    missing = str(level) if isinstance(level, SandboxUnavailableError) else ""
    return terminal.tools(
        workspace(),
        sandbox(),
        limits=conf.terminal_limits(),
        confinement="" if isinstance(level, SandboxUnavailableError) else level.level,
        disabled=_off("ENABLE_TERMINAL", is_on=conf.terminal_enabled()) or missing,
    )


def _off(switch: str, *, is_on: bool) -> str:
    return "" if is_on else f"{switch} is false"
