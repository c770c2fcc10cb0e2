"""Progress and cancels of calls over HTTP, with the clients of the SDK and by hand; bad messages first.

Covers `tools.mcp_server.calls.exchange`, `tools.mcp_server.calls.open_calls`, `tools.mcp_server.calls.requests`,
`tools.mcp_server.calls.tool_calls`, `tools.mcp_server.messages.steps`, `tools.mcp_server.offered`,
`tools.mcp_server.transports.http`.
"""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from storage.writer import writer
from tests.access.conftest import MakeKey, revoke
from tests.tools.mcp_server.conftest import DEADLINE, Printer, Serve, connected, modern, post, rows, until
from tools.mcp_server.calls import open_calls, waiting
from tools.mcp_server.calls.exchange import end_all
from tools.models import ToolExecution

STREAM = {"Accept": "application/json, text/event-stream"}


def call(number: Any = 1, **params: Any) -> dict[str, Any]:
    params = {"name": "slow.print", "arguments": {"text": "plover"}, **params}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


async def status_of_newest(api: Any, holder: Any) -> str:
    return str((await rows(api, holder))[0]["status"])


@pytest.mark.parametrize("token", ["x" * 257, 2**53 + 1, 1.5, True, [], {}])
async def test_invalid_progress_token_runs_nothing(
    serve: Serve, printer: Printer, make_key: MakeKey, token: Any
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    answer = await post(api, call(_meta={"progressToken": token}), alice, **STREAM)
    assert (answer.status, answer.json()["error"]["code"]) == (200, -32602)
    message, headers = modern("tools/call", name="slow.print", arguments={}, meta={"progressToken": token})
    assert (await post(api, message, alice, **headers)).status == 400
    assert await rows(api, alice) == []
    assert not printer.started.is_set()


@pytest.mark.parametrize("number", ["y" * 257, 2**60, 10**40, None, 1.5, True])
async def test_invalid_id_is_refused(serve: Serve, make_key: MakeKey, number: Any) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    answer = await post(api, call(number), alice)
    assert (answer.status, answer.json()["error"]["code"], answer.json()["id"]) == (400, -32600, None)


async def test_cancel_of_unknown_or_invalid_ids_changes_nothing(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice, bob = await make_key("alice", "tools", "chat"), await make_key("bob", "tools")
    api = await serve()
    running = asyncio.create_task(post(api, call(7), alice))
    await asyncio.wait_for(printer.started.wait(), DEADLINE)
    cancelling = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    numbers: tuple[Any, ...] = ("7", 8, 7.0, True, None, [], "z" * 300)
    for number in numbers:
        answer = await post(api, {**cancelling, "params": {"requestId": number}}, alice)
        assert answer.status in {200, 202}
    assert (await post(api, cancelling, alice)).json()["error"]["code"] == -32602
    # The same number of another key's client, and of a client with a handshake, are other requests.
    assert (await post(api, {**cancelling, "params": {"requestId": 7}}, bob)).status == 202
    opened = await post(api, {**call(1), "method": "initialize", "params": {}}, alice)
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    assert (await post(api, {**cancelling, "params": {"requestId": 7}}, alice, **session)).status == 202
    assert not printer.cancelled.is_set()
    printer.may_end.set()
    assert (await running).json()["result"]["structuredContent"] == {"printed": "plover"}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_client_of_the_sdk_gets_progress_and_the_result(
    serve: Serve, printer: Printer, make_key: MakeKey, mode: Any
) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    counts: list[float] = []
    messages: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        counts.append(progress)
        messages.append(message or "")
        # The tool ends only when its output has arrived.
        printer.may_end.set()

    async with connected(api, alice, mode) as client:
        done = await client.call_tool("slow.print", {"text": "plover"}, progress_callback=on_progress)
    assert done.structured_content == {"printed": "plover"}
    assert counts == sorted(set(counts))
    assert messages[0] == "plover\n"


async def test_answer_is_json_without_a_token_or_without_accepting_events(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    printer.may_end.set()
    for message, headers in (
        (call(), STREAM),
        (call(_meta={"progressToken": "t"}), {"Accept": "application/json"}),
        (call(_meta={"progressToken": "t"}), {}),
    ):
        answer = await post(api, message, alice, **headers)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["result"]["isError"] is False
    streamed = await post(api, call(_meta={"progressToken": 0}), alice, **STREAM)
    assert streamed.headers["Content-Type"] == "text/event-stream"
    assert streamed.headers["X-Accel-Buffering"] == "no"
    assert b'"progressToken":0,"progress":' in streamed.body
    assert b'"message":"plover\\n' in streamed.body
    assert streamed.body.endswith(b"\n\n")


async def test_long_output_is_joined_and_bounded(serve: Serve, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    printer.may_end.set()
    message = call(arguments={"text": "ab" * 50_000}, _meta={"progressToken": "t"})
    streamed = await post(api, message, alice, **STREAM)
    frames = [frame for frame in streamed.body.split(b"\n\n") if b"notifications/progress" in frame]
    assert 1 <= len(frames) <= 3
    assert all(len(frame) < 5_000 for frame in frames)


async def test_silence_is_filled_with_pings(serve: Serve, printer: Printer, make_key: MakeKey, settings: Any) -> None:
    settings.HEARTBEAT_SECONDS = 0.05
    alice = await make_key("alice", "tools")
    api = await serve()
    own = {**alice.headers, **STREAM}
    message = call(_meta={"progressToken": "t"})
    for body, ping in ((message, b": ping"), (call(), b"\n")):
        printer.may_end.clear()
        async with api.session.post(f"{api.base_url}/mcp", json=body, headers=own) as response:
            got = b""
            while ping not in got:
                got += await asyncio.wait_for(response.content.readany(), DEADLINE)
            printer.may_end.set()
            assert b'"isError":false' in got + await response.read()


@pytest.mark.parametrize("body", [call(_meta={"progressToken": "t"}), call()], ids=["events", "json"])
async def test_client_that_closes_the_connection_cancels_the_call(
    serve: Serve, printer: Printer, make_key: MakeKey, body: Any
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    own = {**alice.headers, **STREAM}
    async with api.session.post(f"{api.base_url}/mcp", json=body, headers=own) as response:
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        response.close()
        await asyncio.wait_for(printer.cancelled.wait(), DEADLINE)
    await until(lambda: _is(api, alice, "cancelled"))
    row = (await rows(api, alice))[0]
    assert (row["code"], row["output"]) == ("cancelled", "plover\n")


async def _is(api: Any, holder: Any, status: str) -> bool:
    return await status_of_newest(api, holder) == status


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_cancelled_call_of_the_sdk_ends_the_tool(
    serve: Serve, printer: Printer, make_key: MakeKey, mode: Any
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    async with connected(api, alice, mode) as client:
        running = asyncio.create_task(client.call_tool("slow.print", {}))
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        running.cancel()
        await asyncio.wait_for(printer.cancelled.wait(), DEADLINE)
        await until(lambda: _is(api, alice, "cancelled"))
        # The client is still of use.
        assert (await client.list_tools()).tools


async def test_cancel_ends_a_stream_without_a_response_and_json_with_an_error(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    for body in (call(5, _meta={"progressToken": "t"}), call(5)):
        printer.started.clear()
        running = asyncio.create_task(post(api, body, alice, **STREAM))
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        cancelling = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        assert (await post(api, cancelling, alice)).status == 202
        answer = await asyncio.wait_for(running, DEADLINE)
        if answer.headers["Content-Type"] == "application/json":
            assert answer.json()["error"]["code"] == -32800
        else:
            assert b'"id":5' not in answer.body


async def test_cancel_that_another_process_took_ends_the_call(
    serve: Serve, printer: Printer, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_calls, "WATCH_SECONDS", 0.02)
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    running = asyncio.create_task(post(api, call(5), alice))
    await asyncio.wait_for(printer.started.wait(), DEADLINE)
    row = await ToolExecution.objects.aget()
    # This is what another process does: the call is none of its own.
    await writer.write(partial(waiting.cancel_call, row.call_id, alice.owner, timezone.now()))
    assert (await asyncio.wait_for(running, DEADLINE)).json()["error"]["code"] == -32800
    assert printer.cancelled.is_set()
    await until(lambda: _is(api, alice, "cancelled"))


async def test_two_open_calls_with_the_same_number_are_not_cancelled_by_it(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    running = [asyncio.create_task(post(api, call(5), alice)) for _ in range(2)]
    await until(lambda: _two(printer))
    cancelling = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
    await post(api, cancelling, alice)
    (row, _) = [row async for row in ToolExecution.objects.all()]
    await writer.write(partial(waiting.cancel_call, row.call_id, alice.owner, timezone.now()))
    assert await ToolExecution.objects.exclude(decision="").acount() == 0
    printer.may_end.set()
    assert all("result" in answer.json() for answer in await asyncio.gather(*running))


async def _two(printer: Printer) -> bool:
    return len(printer.texts) == 2


async def test_revoked_key_ends_its_call(serve: Serve, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    running = asyncio.create_task(post(api, call(), alice))
    await asyncio.wait_for(printer.started.wait(), DEADLINE)
    await revoke(alice)
    await asyncio.wait_for(printer.cancelled.wait(), DEADLINE)
    running.cancel()


async def test_shutdown_answers_the_calls_that_it_ends(serve: Serve, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve()
    running = asyncio.create_task(post(api, call(5, _meta={"progressToken": "t"}), alice, **STREAM))
    await asyncio.wait_for(printer.started.wait(), DEADLINE)
    await end_all()
    assert b'"id":5,"error":{"code":-32603,"message":"The service is shutting down.' in (await running).body
    assert await status_of_newest(api, alice) == "cancelled"
