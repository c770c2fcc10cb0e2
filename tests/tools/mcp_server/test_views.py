"""The MCP server, with the client of the official SDK and by hand; bad messages first.

Covers `tools.mcp_server.messages.protocol`, `tools.mcp_server.server` and `tools.management.commands.mcp`.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from chat.providers.scripted import Scripted
from tests.access.conftest import Holder, MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.managing import migrated
from tests.orchestrator_site.test_serve import ROOT, environment
from tools import assembly
from tools.mcp_server import offered
from tools.policy import parse
from tools.resources import workspaces

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def post(api: Api, message: Any, **headers: str) -> Any:
    return await api.call("POST", "/mcp", json=message, headers=headers)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([PING], -32600),
        ("ping", -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({**PING, "method": 5}, -32600),
        ({**PING, "params": []}, -32600),
        ({**PING, "id": [1]}, -32600),
        ({**PING, "method": "resources/list"}, -32601),
        ({**PING, "method": "tools/call"}, -32602),
        ({**PING, "method": "tools/call", "params": {"name": "fs.nothing"}}, -32602),
        ({**PING, "method": "tools/call", "params": {"name": "fs.read", "arguments": []}}, -32602),
    ],
)
async def test_bad_messages_get_an_error_of_json_rpc(start: Start, message: Any, code: int) -> None:
    answer = await post(await start(Scripted()), message)
    assert answer.json()["error"]["code"] == code
    assert answer.status == (400 if code == -32600 else 200)


async def test_http_errors_and_notifications(start: Start) -> None:
    api = await start(Scripted())
    assert (await api.call("POST", "/mcp", data=b"{", headers={"Content-Type": "application/json"})).status == 400
    assert (await api.call("POST", "/mcp", data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
    assert (await api.call("GET", "/mcp")).status == 405
    old = await post(api, PING, **{"MCP-Protocol-Version": "1999-01-01"})
    assert (old.status, old.json()["error"]["code"]) == (400, -32022)
    taken = await post(api, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (taken.status, taken.body) == (202, b"")


async def test_key_is_asked_for_as_the_specification_says(start: Start, make_key: MakeKey) -> None:
    await make_key("alice", "chat")
    refused = await post(await start(Scripted()), PING)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


@asynccontextmanager
async def connected(api: Api, holder: Holder, mode: Any) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=holder.headers) as http,
        Client(streamable_http_client(f"{api.base_url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_client_of_the_sdk_lists_and_calls_the_tools_of_the_key(
    start: Start, make_key: MakeKey, mode: Any
) -> None:
    alice = await make_key("alice", "fs.*")
    api = await start(Scripted())
    async with connected(api, alice, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"fs.read", "fs.list", "fs.search", "fs.write", "fs.apply_patch"}
        assert tools["fs.read"].input_schema["required"] == ["path"]
        assert [tools[name].annotations.read_only_hint for name in ("fs.read", "fs.write")] == [True, False]
        done = await client.call_tool("fs.write", {"path": "a.txt", "content": "plover"})
        assert (done.is_error, done.structured_content["created"]) == (False, True)
        missing = await client.call_tool("fs.read", {"path": "missing.txt"})
        assert missing.is_error
        assert missing.content[0].text.startswith("not_found: ")
    files = workspaces().at(alice.owner)
    assert files.read_bytes("a.txt") == b"plover"
    (files.base / "a.txt").unlink()


async def test_calls_are_recorded_and_the_policy_holds(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice", "chat", "fs.*")
    context = assembly.tool_context()
    context = msgspec.structs.replace(context, policy=parse("ask fs.write; deny fs.search"))
    monkeypatch.setattr(offered, "tool_context", lambda: context)
    api = await start(Scripted())
    async with connected(api, alice, "auto") as client:
        assert "fs.search" not in {tool.name for tool in (await client.list_tools()).tools}
        asked = await client.call_tool("fs.write", {"path": "a.txt", "content": "x"})
        assert "requires an approval" in asked.content[0].text
        await client.call_tool("fs.list", {})
    rows = (await api.get("/tools/executions", headers=alice.headers))["items"]
    assert [(row["tool"], row["status"], row["source"]) for row in rows] == [
        ("fs.list", "succeeded", "caller"),
        ("fs.write", "denied", "caller"),
    ]


async def test_command_serves_the_tools_of_the_operator_over_its_input(tmp_path: Path) -> None:
    (migrated(tmp_path) / "workspaces").mkdir()
    (tmp_path / "workspaces" / "a.txt").write_text("plover")
    variables = environment(tmp_path)
    command = StdioServerParameters(
        command=sys.executable, args=[str(ROOT / "manage.py"), "mcp"], env=variables, cwd=str(tmp_path)
    )
    async with Client(command) as client:
        done = await client.call_tool("fs.read", {"path": "a.txt"})
    assert done.structured_content["content"] == "plover"
