"""A terminal on a real sandbox, and the results of its calls."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from spending.accounts import Payer
from tools.base import Execution, OutputStream, Tool, ToolError
from tools.builtin import terminal
from tools.commands import WHITELIST, extended
from tools.sandbox.sandbox import Sandbox
from tools.terminal.result import ExecResult
from tools.workspace import Workspace

ANY_PYTHON = extended(WHITELIST, "python:*; env")
PLAIN_GIT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "alice@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class LiveOutput:
    """The live output of a call."""

    def __init__(self) -> None:
        self.texts: Mapping[OutputStream, list[str]] = {"stdout": [], "stderr": []}

    async def emit(self, stream: OutputStream, text: str) -> None:
        self.texts[stream].append(text)

    def text(self, stream: OutputStream) -> str:
        return "".join(self.texts[stream])


def terminal_of(workspace: Workspace, temporary: Path, **limits: Any) -> Tool:
    """Return the tool, with the temporary folders of commands in the given folder."""
    sandbox = Sandbox(temporary_beneath=temporary)
    return terminal.tools(workspace, sandbox, limits=terminal.Limits(**limits))[0]


async def run(tool: Tool, live: LiveOutput | None = None, **params: Any) -> ExecResult:
    """Return the result of a call; raise `ToolError` if it fails."""
    execution = Execution(payer=Payer(owner="alice"), emit=(live or LiveOutput()).emit)
    result: ExecResult = await tool.run(msgspec.convert(params, tool.params), execution)
    return result


async def verdict(tool: Tool, live: LiveOutput | None = None, **params: Any) -> tuple[str, str]:
    """Return the error code of a call, or `ran` for a result, with all of its text."""
    try:
        result = await run(tool, live, **params)
    except ToolError as error:
        return error.code, str(error)
    return "ran", "\n".join((*result.argv, result.stdout, result.stderr, *result.notes))


def git(folder: Path, *arguments: str) -> str:
    """Return the output of git, run as a user would run it."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=PLAIN_GIT, check=True, capture_output=True, timeout=10)
    return done.stdout.decode().strip()


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return every file and link beneath the folder by its path."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
        elif not path.is_dir():
            found[str(path)] = "something else"
    return found


def alive(marker: str) -> list[str]:
    """Return the command lines of the processes that bear the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if marker in line:
                found.append(line)
    return found
