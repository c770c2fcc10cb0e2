"""The reference servers of MCP, from npm and PyPI, as programs in the sandbox. Without them, tests are skipped."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scripts.source import ROOT
from tests.clients.conftest import MODULES, npm
from tests.orchestrator_site.test_serve import address, environment, serving
from tests.servers import wait_until
from tests.tools.execution.test_executor import asking, executor, opened
from tests.tools.mcp_client.fake import DEADLINE
from tools.base import Failed, Output, Succeeded
from tools.mcp_client import sessions
from tools.mcp_client.connection import list_tools
from tools.mcp_client.reading import get_prompt, list_prompts, list_resources, read_resource
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tools import PinnedServer

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MEGABYTES = 10 * 2**20


@pytest.fixture(autouse=True)
async def ended(kernel: None) -> AsyncIterator[None]:
    yield
    await sessions.close()


def of_npm(name: str, *words: str, **changes: Any) -> McpServer:
    npm()
    program = MODULES / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
    if not program.exists():
        pytest.skip("needs the packages of npm: npm ci --prefix examples")
    return McpServer(name=name, command=("node", str(program), *words), read=(str(MODULES),), **changes)


def of_pypi(name: str, **changes: Any) -> McpServer:
    if find_spec(name) is None:
        pytest.skip(f"needs {name}: uv sync --group dev")
    return McpServer(name="clock", command=("python", "-m", name), **changes)


async def outcome(server: McpServer, tool: str, **params: Any) -> Any:
    return (await steps(server, tool, **params))[-1]


async def steps(server: McpServer, tool: str, **params: Any) -> list[Any]:
    """Accept the tools of a server as they are, and call one."""
    pinned = PinnedServer(server, await list_tools(server))
    name = f"mcp.{server.name}.{tool}"
    async with asyncio.timeout(4 * DEADLINE):
        return await opened(executor(*pinned.tools(), policy="allow mcp.*"), asking(json.dumps(params), name=name))


async def accept_all(tools: object) -> None:
    """Accept every set."""


async def test_filesystem_reads_and_writes_only_what_the_sandbox_lets_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "note").write_text("plover")
    # The server would allow both folders. The kernel allows one.
    server = of_npm("filesystem", str(inside), str(outside), write=(str(inside),))
    done = await outcome(server, "read_text_file", path=str(inside / "note"))
    assert isinstance(done, Succeeded)
    assert "plover" in str(done.data)
    assert isinstance(await outcome(server, "write_file", path=str(inside / "made"), content="x"), Succeeded)
    assert (inside / "made").read_text() == "x"
    denied = await outcome(server, "read_text_file", path=str(outside / "note"))
    assert isinstance(denied, Failed)
    assert "plover" not in denied.error


async def test_filesystem_returns_a_result_of_10_megabytes_or_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * MEGABYTES)
    server = of_npm("filesystem", str(tmp_path), write=(str(tmp_path),), max_result_bytes=64 * 2**20)
    done = await outcome(server, "read_text_file", path=str(tmp_path / "large"))
    assert isinstance(done, Succeeded)
    assert len(done.content) < 2**16
    small = of_npm("filesystem", str(tmp_path), write=(str(tmp_path),))
    assert (await outcome(small, "read_text_file", path=str(tmp_path / "large"))).code == "too_large"


async def test_everything_reports_progress_and_is_cancelled() -> None:
    server = of_npm("everything", "stdio")
    found = await steps(server, "trigger-long-running-operation", duration=0.2, steps=2)
    assert "".join(step.text for step in found if isinstance(step, Output)) == "1 of 2\n2 of 2\n"
    assert isinstance(found[-1], Succeeded)
    running = asyncio.create_task(outcome(server, "trigger-long-running-operation", duration=600, steps=6_000))
    pids: list[int] = []
    async with asyncio.timeout(DEADLINE):
        while not pids:
            await asyncio.sleep(0.05)
            pids = processes("server-everything")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(await outcome(server, "echo", message="plover"), Succeeded)


async def test_everything_that_is_killed_during_a_call_leaves_its_outcome_unknown(tmp_path: Path) -> None:
    # Its last word is only a mark of the process.
    server = of_npm("everything", "stdio", str(tmp_path))
    found: list[Any] = []
    pinned = PinnedServer(server, await list_tools(server))
    arguments = '{"duration": 600, "steps": 60000}'
    request = asking(arguments, name="mcp.everything.trigger-long-running-operation")
    calls = executor(*pinned.tools(), policy="allow mcp.*")
    async with asyncio.timeout(4 * DEADLINE):
        async for step in calls.execute(calls.inspect(request)):
            found.append(step)
            if isinstance(step, Output) and step.text.startswith("1 "):
                for process in processes(str(tmp_path)):
                    os.kill(process, signal.SIGKILL)
    assert isinstance(found[-1], Failed)
    assert found[-1].code == "interrupted"
    assert "Whether the call had an effect is unknown" in found[-1].error
    assert isinstance(await outcome(server, "echo", message="plover"), Succeeded)


def processes(mark: str) -> list[int]:
    """Return the processes of node whose command lines have a mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:  # the process has ended meanwhile
            continue
        if words[0].endswith(b"node") and any(mark.encode() in word for word in words):
            found.append(int(entry.parent.name))
    return found


async def test_everything_has_resources_prompts_and_a_question_that_is_declined() -> None:
    server = of_npm("everything", "stdio")
    listed = await list_resources(server, "alice", accept_all)
    assert listed["resources"]
    assert listed["templates"]
    found = await read_resource(server, "alice", listed["resources"][0]["uri"], accept_all)
    assert found["text"]
    assert "args-prompt" in [prompt["name"] for prompt in await list_prompts(server, "alice", accept_all)]
    filled = await get_prompt(server, "alice", "args-prompt", {"city": "Oslo"}, accept_all)
    assert "Oslo" in filled["messages"][0]["text"]
    asked = await outcome(server, "trigger-elicitation-request")
    assert isinstance(asked, Succeeded)
    assert "asked for input, which was declined" in str(asked.data)


async def test_clock_works_without_the_network() -> None:
    done = await outcome(of_pypi("mcp_server_time"), "get_current_time", timezone="Europe/Oslo")
    assert isinstance(done, Succeeded)
    assert "Europe/Oslo" in str(done.data)


def test_accepted_tools_reach_all_workers_of_a_running_service(tmp_path: Path, kernel: None) -> None:
    of_pypi("mcp_server_time")
    servers = tmp_path / "mcp.toml"
    servers.write_text('[servers.clock]\ncommand = ["python", "-m", "mcp_server_time"]\neffect = "read"\n')
    with serving(tmp_path, "--workers", "2", MCP_SERVERS_FILE=str(servers)) as (output, _):
        base = address(output)

        def fetched(path: str, body: dict[str, Any] | None = None) -> str:
            data = json.dumps(body).encode() if body else None
            asked = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(asked) as answer:  # noqa: S310 - the service on loopback
                text: str = answer.read().decode()
                return text

        def is_offered() -> bool:
            return "mcp.clock.get_current_time" in fetched("/tools")

        assert not is_offered()
        command = [sys.executable, "manage.py", "mcp_accept", "clock", "--yes"]
        variables = environment(tmp_path, MCP_SERVERS_FILE=str(servers))
        accepted = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
        assert "The service offers them within seconds." in accepted.stdout
        # Each request may reach another worker.
        wait_until(lambda: all(is_offered() for _ in range(8)))
        call = {"name": "mcp.clock.get_current_time", "params": {"timezone": "Europe/Oslo"}}
        assert "tool_result" in fetched("/chat/stream", {"tool_calls": [call]})
