"""One git process in the sandbox: its input, its bounds, and its end."""

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from kernel import landlock
from tests.handles import open_handles
from tests.tools.git.building import Built
from tools.base import ToolError
from tools.builtin import git
from tools.git import process, running
from tools.git.installed import InstalledGit, installed_git
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.sandbox.refusals import CommandRefusedError
from tools.workspace import Deadline, Workspace

STOPPED_WITHIN = 2.0


def children() -> set[str]:
    return {
        child
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text().split()
        if child
    }


def never_comes(repository: Built) -> None:
    """Make git wait forever."""
    (repository.folder / ".git/config").unlink()
    os.mkfifo(repository.folder / ".git/config")


async def test_git_is_available_in_the_sandbox(runner: Runner) -> None:
    assert runner.why_unavailable() == ""
    assert runner.confinement == f"landlock{landlock.landlock_abi()}+seccomp"
    assert [(tool.name, tool.effect, tool.confinement, tool.disabled) for tool in git.tools(runner)] == [
        (f"git.{name}", "read", runner.confinement, "") for name in ("status", "diff", "log", "show")
    ]


async def test_policy_sees_the_normalized_path(runner: Runner) -> None:
    tool = git.tools(runner)[0]

    assert tool.facets(tool.params(path=f"{runner.workspace.base}/./a/../b/")) == {"path": ["b"]}


async def test_disabled_tools_report_the_given_reason(runner: Runner) -> None:
    assert {tool.disabled for tool in git.tools(runner, disabled="ENABLE_GIT is off.")} == {"ENABLE_GIT is off."}


async def test_without_landlock_the_tools_are_disabled(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "landlock_abi", lambda: 0)

    assert "Landlock" in runner.why_unavailable()
    assert runner.confinement == ""


async def test_without_git_the_tools_are_disabled(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> InstalledGit:
        raise CommandRefusedError("There is no program 'git' in /usr/bin.")

    monkeypatch.setattr(running, "installed_git", missing)

    assert "no program 'git'" in runner.why_unavailable()


@pytest.mark.parametrize(
    ("says", "reason"), [("git version 2.31.9", "too old"), ("hello", "does not show its version")]
)
def test_outdated_git_is_not_used(
    says: str, reason: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "hardened", lambda *_: ("echo", says))
    echo = Path("/bin/echo")
    runner = Runner(workspace, git=_instead(echo))

    assert reason in runner.why_unavailable()


def test_git_that_is_a_script_is_not_used(workspace: Workspace, tmp_path: Path) -> None:
    script = tmp_path / "git"
    script.write_text("#!/bin/sh\necho git version 2.50.0\n")
    script.chmod(0o755)

    assert "could not be started" in Runner(workspace, git=_instead(script)).why_unavailable()


async def test_launcher_receives_no_environment_values(
    runner: Runner, repository: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = repository.folder / "written"
    code = f"import json, os; open({str(written)!r}, 'w').write(json.dumps(list(filter(None, os.environ.values()))))"
    monkeypatch.setenv("OPENAI_API_KEY", "the-secret")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "the-secret")
    monkeypatch.setattr(process, "launcher_command", lambda _: (sys.executable, "-I", "-X", "utf8", "-c", code))
    with runner.workspace.open_folder(".") as folder, pytest.raises(ToolError):
        runner.run(("version",), folder, Deadline(5))

    assert set(json.loads(written.read_text())) == {"C"}


async def test_git_receives_only_the_environment_of_its_policy(
    workspace: Workspace, repository: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-secret")
    monkeypatch.setattr(running, "hardened", lambda *_: ("env",))
    runner = Runner(workspace, git=_instead(Path("/usr/bin/env")))
    with workspace.open_folder(".") as folder:
        output = runner.run((), folder, Deadline(5)).output.decode()

    assert {line.partition("=")[0] for line in output.splitlines()} == {
        *running.ENVIRONMENT,
        *running.IN_THE_FOLDER,
        *running.NOTHING_OF_THE_SYSTEM,
    }


async def test_time_limit_stops_git(workspace: Workspace, repository: Built) -> None:
    never_comes(repository)
    before, began = children(), time.monotonic()
    with pytest.raises(ToolError, match=r"longer than 0\.3 s") as refusal:
        await git.show_status(Runner(workspace, limits=Limits(max_seconds=0.3)))

    assert refusal.value.code == "timed_out"
    assert time.monotonic() - began < 0.3 + STOPPED_WITHIN
    assert children() == before


async def test_cancelled_call_stops_git_at_once(runner: Runner, repository: Built) -> None:
    never_comes(repository)
    handles, before = open_handles(), children()
    call = asyncio.create_task(git.show_status(runner))
    while children() == before:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    while children() != before or open_handles() - handles:
        assert time.monotonic() - began < STOPPED_WITHIN
        await asyncio.sleep(0.01)


async def test_crashed_launcher_is_reported(runner: Runner, repository: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "launcher_command", lambda _: (sys.executable, "-c", "raise SystemExit(1)"))

    with pytest.raises(ToolError, match="could not be supervised") as refusal:
        await git.show_status(runner)
    assert refusal.value.code == "failed"


async def test_missing_launcher_is_reported(runner: Runner, repository: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "launcher_command", lambda _: ("/nowhere/python",))
    before = open_handles()

    with pytest.raises(ToolError, match="could not be started"):
        await git.show_status(runner)
    assert not open_handles() - before


async def test_unresponsive_launcher_is_killed(
    workspace: Workspace, repository: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "launcher_command", lambda _: (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    before = children()

    with pytest.raises(ToolError):
        await git.show_status(Runner(workspace, limits=Limits(max_seconds=0.1)))
    assert children() == before


async def test_endless_output_is_truncated_in_little_memory(workspace: Workspace, repository: Built) -> None:
    (repository.folder / "large").write_bytes(b"0123456789abcde\n" * (12 << 16))
    repository.git("add", "large")
    began = time.monotonic()
    result = await git.diff(Runner(workspace, limits=Limits(max_output_bytes=100_000)), staged=True)

    assert result.truncated
    assert 90_000 < len(result.text) < 100_000
    assert result.text.endswith("\n")
    assert time.monotonic() - began < STOPPED_WITHIN


async def test_memory_limit_is_reported(workspace: Workspace, repository: Built) -> None:
    with pytest.raises(ToolError) as refusal:
        await git.show_status(Runner(workspace, limits=Limits(max_memory_bytes=1 << 20)))

    assert refusal.value.code in {"too_large", "failed"}


async def test_event_loop_is_not_blocked_while_git_runs(runner: Runner, repository: Built) -> None:
    repository.write("a")
    threads = threading.active_count()
    call = asyncio.create_task(git.show_status(runner))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 10
    assert threading.active_count() <= threads + 8


def test_buffer_keeps_the_start_of_the_output() -> None:
    kept = process.Kept(5)
    for block in (b"abc", b"defg", b"h"):
        kept.take(block)

    assert (kept.content, kept.complete) == (b"abcde", False)


def _instead(program: Path) -> InstalledGit:
    """Replace git by a program that may run only itself."""
    real = installed_git()
    return msgspec.structs.replace(real, program=program, runs=(program, *real.runs[1:]))
