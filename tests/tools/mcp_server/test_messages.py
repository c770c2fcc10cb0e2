"""The messages of each version of the protocol, where they differ, and the headers of requests over HTTP.

Covers `tools.mcp_server.messages.clients`, `tools.mcp_server.messages.protocol`, `tools.mcp_server.results`.
"""

from typing import Any

import pytest
from django.conf import settings

from tests.access.conftest import MakeKey
from tests.tools.mcp_server.conftest import MODERN, Printer, Serve, modern, post, rows
from tools.mcp_server.messages import clients

SERVER = {"name": "orchestrator-service", "version": settings.VERSION}
STAMP = {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": SERVER}}
ELICITS: dict[str, Any] = {"elicitation": {}}


@pytest.mark.parametrize(
    ("version", "capabilities", "expected"),
    [
        ("2025-03-26", ELICITS, False),
        ("2025-06-18", ELICITS, True),
        ("2025-11-25", ELICITS, True),
        ("2025-11-25", {"elicitation": {"url": {}}}, False),
        (MODERN, {"elicitation": {"form": {}, "url": {}}}, True),
        (MODERN, {}, False),
        (MODERN, {"elicitation": True}, False),
        (MODERN, None, False),
        (MODERN, [], False),
    ],
)
def test_forms_are_only_sent_to_clients_that_show_them(version: str, capabilities: Any, expected: bool) -> None:
    assert clients.elicits(version, capabilities) is expected


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_messages_of_the_protocols_with_a_handshake(
    serve: Serve, printer: Printer, make_key: MakeKey, version: str
) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy="ask slow.print text=b")
    printer.may_end.set()
    greeting = {"protocolVersion": version, "capabilities": ELICITS, "clientInfo": {"name": "x", "version": "1"}}
    hello = await post(api, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": greeting}, alice)
    result = hello.json()["result"]
    assert (result["protocolVersion"], result["serverInfo"]) == (version, SERVER)
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    own = {"Mcp-Session-Id": hello.headers["Mcp-Session-Id"], "MCP-Protocol-Version": version}
    accepts = {"Accept": "application/json, text/event-stream", **own}
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    taken = await post(api, initialized, alice, **own)
    assert (taken.status, taken.body) == (202, b"")
    ping = await post(api, {"jsonrpc": "2.0", "id": "p", "method": "ping"}, alice, **own)
    assert ping.json() == {"jsonrpc": "2.0", "id": "p", "result": {}}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "slow.print", "arguments": {"text": "a"}},
    }
    done = await post(api, call, alice, **accepts)
    assert done.json() == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {
            "content": [{"type": "text", "text": '{"printed":"a"}'}],
            "structuredContent": {"printed": "a"},
            "isError": False,
        },
    }
    call["params"]["arguments"] = {"text": "b"}
    if version == "2025-03-26":
        # It has no elicitation.
        waits = (await post(api, call, alice, **accepts)).json()["result"]
        assert (waits["isError"], waits["structuredContent"]["status"]) == (True, "awaiting_approval")
        return
    headers = {**alice.headers, **accepts}
    async with api.session.post(f"{api.base_url}/mcp", json=call, headers=headers) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        event = (await response.content.readuntil(b"\n\n")).decode()
        row = (await rows(api, alice))[0]
        number = f"approval:{row['id']}:{row['params_sha256']}"
        asked = f'{{"jsonrpc":"2.0","id":"{number}","method":"elicitation/create","params":{{"message":"'
        assert event.startswith(f"event: message\ndata: {asked}")
        answer = {"action": "accept", "content": {"decision": "approve"}}
        await post(api, {"jsonrpc": "2.0", "id": number, "result": answer}, alice, **own)
        assert b'"structuredContent":{"printed":"b"}' in await response.read()


async def test_messages_of_the_stateless_protocol(serve: Serve, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy="ask slow.print text=b")
    printer.may_end.set()

    async def send(method: str, number: Any = 1, **params: Any) -> Any:
        message, headers = modern(method, number, elicits=True, **params)
        return await post(api, message, alice, **headers)

    discovered = (await send("server/discover")).json()["result"]
    assert discovered["supportedVersions"] == [MODERN]
    assert {name: discovered[name] for name in STAMP} == STAMP
    listed = (await send("tools/list")).json()["result"]
    assert [tool["name"] for tool in listed["tools"]] == ["slow.print", "agent.run"]
    assert {"ttlMs": 0, "cacheScope": "private", **STAMP}.items() <= listed.items()
    done = await send("tools/call", name="slow.print", arguments={"text": "a"})
    assert "Mcp-Session-Id" not in done.headers
    assert done.json()["result"] == {
        "content": [{"type": "text", "text": '{"printed":"a"}'}],
        "structuredContent": {"printed": "a"},
        "isError": False,
        **STAMP,
    }
    asked = (await send("tools/call", name="slow.print", arguments={"text": "b"})).json()["result"]
    (row, _) = await rows(api, alice)
    assert asked == {
        "resultType": "input_required",
        "_meta": STAMP["_meta"],
        "requestState": asked["requestState"],
        "inputRequests": {
            "approval": {
                "method": "elicitation/create",
                "params": {
                    "mode": "form",
                    "message": 'May slow.print run with these params?\n{\n  "text": "b"\n}\n'
                    f"Execution {row['id']}, params_sha256 {row['params_sha256']}, until {row['expires'][:19]}Z.",
                    "requestedSchema": {
                        "type": "object",
                        "properties": {
                            "decision": {"type": "string", "title": "Decision", "enum": ["approve", "deny"]},
                            "note": {"type": "string", "title": "Note for the model", "maxLength": 2_000},
                        },
                        "required": ["decision"],
                    },
                },
            }
        },
    }
    missing = await send("logging/setLevel", level="debug")
    assert (missing.status, missing.json()["error"]["code"]) == (404, -32601)
    # A cancel is the end of the connection there, so the notification is taken and changes nothing.
    message, headers = modern("notifications/cancelled", requestId=1)
    del message["id"]
    assert (await post(api, message, alice, **headers)).status == 202


async def test_stateless_requests_that_disagree_with_their_headers_are_refused(serve: Serve, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    message, headers = modern("tools/call", name="slow.print", arguments={})
    for changes in (
        {"MCP-Protocol-Version": "2025-11-25"},
        {"MCP-Protocol-Version": ""},
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": ""},
        {"Mcp-Name": "fs.read"},
        {"Mcp-Name": "=?base64?!?="},
        {"Mcp-Name": "=?base64?//8=?="},
    ):
        answer = await post(api, message, alice, **{**headers, **changes})
        assert (answer.status, answer.json()["error"]["code"]) == (400, -32020)
    bare, own = modern("ping")
    metas: tuple[Any, ...] = ({}, {"io.modelcontextprotocol/protocolVersion": MODERN}, None, [], 5)
    for meta in metas:
        bare["params"]["_meta"] = meta
        answer = await post(api, bare, alice, **own)
        assert (answer.status, answer.json()["error"]["code"]) == (400, -32602)
    encoded = {**headers, "Mcp-Name": "=?base64?c2xvdy5wcmludA==?="}
    message["params"]["arguments"] = {"text": 5}
    assert (await post(api, message, alice, **encoded)).json()["result"]["isError"]


async def test_sessions_are_bound_to_their_key(serve: Serve, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", "tools"), await make_key("bob", "tools")
    api = await serve()
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": ELICITS}}
    session = (await post(api, hello, alice)).headers["Mcp-Session-Id"]
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await post(api, ping, alice, **{"Mcp-Session-Id": session})).status == 200
    for holder, found in ((bob, session), (alice, session[:-1]), (alice, "x"), (alice, "y" * 5_000)):
        answer = await post(api, ping, holder, **{"Mcp-Session-Id": found})
        assert (answer.status, answer.json()["code"]) == (404, "unknown_session")
    # A client whose session is gone begins again.
    assert (await post(api, hello, bob, **{"Mcp-Session-Id": session})).status == 200
