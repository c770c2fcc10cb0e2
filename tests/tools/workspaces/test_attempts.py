"""A thousand attempts to reach the files of another owner: by paths, links, patches, git, commands and speech."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spending.accounts import Payer
from tools.assembly import tool_context
from tools.base import Failed, Succeeded, ToolRequest
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools
from tools.resources import workspaces

ALICE, BOB = "user:1", "user:2"
WORD = "plover-4711"
FEW = 12
"""Paths that commands are tried with, because each of them starts a process."""


def paths(alice: Path, bob: Path) -> list[str]:
    """Return spellings of Alice's file and folders for Bob, also through links in Bob's workspace."""
    name = alice.name
    targets = {
        "to-folder": f"../{name}",
        "to-file": f"../{name}/plan.txt",
        "to-root": "../..",
        "whole": str(alice),
        "whole-file": str(alice / "plan.txt"),
        "cwd": "/proc/self/cwd",
    }
    for link, target in targets.items():
        (bob / link).symlink_to(target)
    (bob / "chain").symlink_to("to-folder")
    (bob / "inner").mkdir()
    (bob / "inner" / "up").symlink_to("../../" + name)
    folders = [
        f"../{name}",
        f"./../{name}",
        f"inner/../../{name}",
        f"../../.workspaces/{name}",
        f"..//{name}",
        str(alice),
        f"{bob}/../{name}",
        f"{bob.parent}/{name}",
        f"/proc/self/root{alice}",
        f"/proc/self/cwd/../{name}",
        f"file://{alice}",
        f"..\\{name}",
        f"%2e%2e/{name}",
        f"\u2024\u2024/{name}",
        f"..\u200b/{name}",
        f"~/../{name}",
        *(f"{link}" for link in ("to-folder", "whole", "chain", "inner/up")),
        f"to-root/.workspaces/{name}",
    ]
    return [f"{folder}/plan.txt" for folder in folders] + folders + ["to-file", "whole-file", "cwd/plan.txt"]


def patches(path: str) -> list[str]:
    return [
        f"*** Begin Patch\n*** Update File: {path}\n@@\n-{WORD}\n+changed\n*** End Patch\n",
        f"*** Begin Patch\n*** Add File: {path}.new\n+made\n*** End Patch\n",
        f"*** Begin Patch\n*** Delete File: {path}\n*** End Patch\n",
        f"*** Begin Patch\n*** Update File: own.txt\n*** Move to: {path}\n@@\n-own\n+moved\n*** End Patch\n",
        f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{WORD}\n+changed\n",
    ]


def calls(path: str, *, commands: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the calls that would read or change a path."""
    yield "fs.read", {"path": path}
    yield "fs.list", {"path": path, "recursive": True, "ignored": True}
    yield "fs.search", {"pattern": WORD, "path": path, "ignored": True}
    yield "fs.write", {"path": path, "content": "changed"}
    yield "fs.write", {"path": f"{path}/new.txt", "content": "made"}
    yield "fs.read", {"path": f"{path}/plan.txt"}
    yield "fs.list", {"path": ".", "glob": f"{path}/**", "ignored": True}
    yield "speech.synthesize", {"text": "Hi", "provider": "local", "path": f"{path}.wav"}
    for patch in patches(path):
        yield "fs.apply_patch", {"patch": patch}
    for name in ("git.status", "git.diff", "git.log", "git.show"):
        yield name, {"path": path}
    yield "git.add", {"paths": [path]}
    yield "git.commit", {"message": "Change", "path": path}
    yield "git.branch", {"name": "mine", "path": path}
    yield "speech.transcribe", {"path": path, "provider": "local"}
    yield "terminal.exec", {"command": "ls", "cwd": path}
    if commands:
        for words in (
            ["cat", path],
            ["grep", "-r", "plover", path],
            ["git", "-C", path, "show"],
            ["git", "diff", "--no-index", "own.txt", path],
        ):
            yield "terminal.exec", {"argv": words}


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    spaces = workspaces()
    alice, bob = spaces.at(ALICE).base, spaces.at(BOB).base
    for folder, text in ((alice, WORD), (bob, "own")):
        subprocess.run(["git", "init", "-q", folder], check=True)
        (folder / ("plan.txt" if folder is alice else "own.txt")).write_text(f"{text}\n")
    yield alice, bob
    shutil.rmtree(spaces.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def outcome(executor: ToolExecutor, tool: str, params: dict[str, Any]) -> Succeeded | Failed:
    request = ToolRequest(tool=tool, arguments=msgspec.json.encode(params).decode(), source="caller")
    steps = [step async for step in executor.execute(executor.inspect(request))]
    assert isinstance(steps[-1], Succeeded | Failed)
    return steps[-1]


async def test_no_attempt_reaches_the_files_of_another_owner(folders: tuple[Path, Path]) -> None:
    alice, bob = folders

    async def discard(_: object) -> None:
        return None

    executor = ToolExecutor(tool_context(), Payer(owner=BOB), discard, offered=OfferedTools(), stored=False)
    before = contents(alice)
    spellings = paths(alice, bob)
    attempts = [call for number, path in enumerate(spellings) for call in calls(path, commands=number < FEW)]
    hits: list[tuple[str, dict[str, Any]]] = []
    places = asyncio.Semaphore(4)

    async def attempt(tool: str, params: dict[str, Any]) -> None:
        async with places:
            found = await outcome(executor, tool, params)
        # A message may repeat what the call itself says.
        said = str(found.data) if isinstance(found, Succeeded) else found.error.replace(str(params), "")
        if WORD in said and not (tool == "fs.apply_patch" and isinstance(found, Failed)):
            hits.append((tool, params))

    await asyncio.gather(*(attempt(tool, params) for tool, params in attempts))
    assert len(attempts) >= 1_000
    assert hits == []
    assert contents(alice) == before
    assert not list(alice.parent.glob("*.new"))
