"""The endpoint of the MCP server, with the client of the official SDK and by hand; bad messages first.

Covers `tools.mcp_server.resource`, `tools.mcp_server.server`.
"""

from typing import Any

import msgspec
import pytest

from chat.providers.scripted import Scripted
from tests.access.conftest import MakeKey
from tests.conftest import Start
from tests.tools.mcp_server.conftest import connected, post
from tools import assembly
from tools.mcp_server import offered
from tools.policy import parse
from tools.resources import workspaces

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


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
    for method in ("GET", "DELETE"):
        refused = await api.call(method, "/mcp")
        assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    old = await post(api, PING, **{"MCP-Protocol-Version": "1999-01-01"})
    assert (old.status, old.json()["error"]["code"]) == (400, -32022)
    taken = await post(api, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (taken.status, taken.body) == (202, b"")


async def test_key_is_asked_for_with_the_place_of_the_metadata(start: Start, make_key: MakeKey, settings: Any) -> None:
    await make_key("alice", "chat")
    api = await start(Scripted())
    own = f"{api.base_url}/.well-known/oauth-protected-resource/mcp"
    for body in (PING, {**PING, "params": {"x": "y" * 100_000}}):
        refused = await post(api, body)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, f'Bearer resource_metadata="{own}"')
    wrong = await post(api, PING, Authorization="Bearer nothing")
    assert wrong.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{own}"'
    other = await api.call("POST", "/chat/stream", json={"message": "x"})
    assert other.headers["WWW-Authenticate"] == "Bearer"
    for path in ("", "/mcp"):
        found = await api.get(f"/.well-known/oauth-protected-resource{path}")
        assert found["resource"] == f"{api.base_url}/mcp"
        assert found["bearer_methods_supported"] == ["header"]
        assert {"chat", "approve", "tools"} <= set(found["scopes_supported"])
        # Keys come from the service itself, so there is no server to get a token from.
        assert "authorization_servers" not in found
    settings.PUBLIC_URL, settings.ROOT_PATH = "https://agents.example.org", "/agent"
    refused = await api.call("POST", "/agent/mcp", json=PING)
    place = "https://agents.example.org/agent/.well-known/oauth-protected-resource/mcp"
    assert refused.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{place}"'
    below = await api.get("/agent/.well-known/oauth-protected-resource/mcp")
    assert below["resource"] == "https://agents.example.org/agent/mcp"


async def test_metadata_name_no_host_that_is_not_allowed(start: Start, make_key: MakeKey, settings: Any) -> None:
    await make_key("alice", "chat")
    api = await start(Scripted())
    settings.ALLOWED_HOSTS = ["*"]
    for host in ('evil"x', "evil/x", "a b"):
        refused = await post(api, PING, Host=host)
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        found = await api.call("GET", "/.well-known/oauth-protected-resource", headers={"Host": host})
        assert found.status == 400
    settings.ALLOWED_HOSTS = ["agents.example.org"]
    assert (await post(api, PING)).status == 400
    foreign = {"Host": "agents.example.org", "Origin": "https://evil.example.org"}
    assert (await post(api, PING, **foreign)).json()["code"] == "bad_origin"


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
        assert asked.content[0].text.startswith("awaiting_approval: fs.write waits until ")
        await client.call_tool("fs.list", {})
    rows = (await api.get("/tools/executions", headers=alice.headers))["items"]
    assert [(row["tool"], row["status"], row["source"]) for row in rows] == [
        ("fs.list", "succeeded", "caller"),
        ("fs.write", "awaiting_approval", "caller"),
    ]
