"""The MCP server over standard input and output: with pipes in this process, and as a process of the SDK's client.

Covers `tools.mcp_server.transports.stdio` and `tools.management.commands.mcp`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from access.caller import LOCAL
from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from tests.managing import migrated
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.tools.mcp_server.conftest import DEADLINE, MODERN, Person, Printer, Serve
from tools.mcp_server.transports import stdio
from tools.mcp_server.transports.stdio import StdioServer
from tools.models import ToolExecution


class Lines:
    """A client at the other ends of two pipes."""

    def __init__(self, to_server: int, from_server: int) -> None:
        self._write = os.fdopen(to_server, "wb", buffering=0)
        self._read = os.fdopen(from_server, "rb")

    def send(self, *messages: Any) -> None:
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
            self._write.write(line + b"\n")

    async def next(self) -> Any:
        line = await asyncio.wait_for(asyncio.to_thread(self._read.readline), DEADLINE)
        return json.loads(line)

    def end(self) -> None:
        self._write.close()

    def close(self) -> None:
        self._read.close()


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Lines, "asyncio.Task[None]"]]:
    server_reads, to_server = os.pipe()
    from_server, server_writes = os.pipe()
    lines = Lines(to_server, from_server)
    with os.fdopen(server_reads, "rb") as source, os.fdopen(server_writes, "wb") as target:
        serving = asyncio.create_task(StdioServer(source, target, LOCAL).serve())
        try:
            yield lines, serving
        finally:
            lines.end()
            await asyncio.wait_for(serving, DEADLINE)
            lines.close()


def call(number: Any, **meta: Any) -> dict[str, Any]:
    params = {"name": "slow.print", "arguments": {"text": "plover"}, **({"_meta": meta} if meta else {})}
    return {"id": number, "method": "tools/call", "params": params}


def cancel(number: Any) -> dict[str, Any]:
    return {"method": "notifications/cancelled", "params": {"requestId": number}}


async def statuses() -> list[str]:
    return [row.status async for row in ToolExecution.objects.order_by("created")]


async def test_bad_lines_get_errors_and_the_server_goes_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_LINE_BYTES", 1_000)
    await serve()
    async with served() as (lines, _):
        for bad, number in (
            (b"", None),
            (b"{", None),
            (b"[]", None),
            (b"\xff", None),
            (b"x" * 5_000, None),
            ({"id": 10**40, "method": "ping"}, None),
            ({"id": 1, "method": 5}, 1),
            ({"id": 1, "method": "nothing"}, 1),
            ({"id": 2, "method": "tools/call"}, 2),
            ({"id": 3, "method": "ping", "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "x"}}}, 3),
            ({"id": 4, "method": "ping", "params": {"_meta": 5}}, 4),
        ):
            lines.send(bad)
            answer = await lines.next()
            assert ("error" in answer, answer["id"]) == (True, number)
        # None of these gets an answer.
        lines.send(cancel("x"), cancel([]), {"method": "notifications/other"}, {"method": 5})
        lines.send({"id": "approval:x:y", "result": {}}, {"id": 9, "method": "ping"})
        assert (await lines.next()) == {"jsonrpc": "2.0", "id": 9, "result": {}}


async def test_progress_and_cancel_are_lines_beside_other_calls(serve: Serve, printer: Printer) -> None:
    await serve()
    async with served() as (lines, _):
        lines.send(call(1, progressToken="t"))
        params = (await lines.next())["params"]
        assert params == {"progressToken": "t", "progress": 7, "message": "plover\n"}
        lines.send({"id": 2, "method": "ping"})
        assert (await lines.next())["id"] == 2
        # The text "1" is another id.
        lines.send(cancel("1"), cancel(1))
        await asyncio.wait_for(printer.cancelled.wait(), DEADLINE)
        printer.may_end.set()
        lines.send(call(3))
        # A cancelled request gets no response.
        assert (await lines.next())["id"] == 3
    assert await statuses() == ["cancelled", "succeeded"]


async def test_cancel_of_one_client_does_not_reach_the_calls_of_another(serve: Serve, printer: Printer) -> None:
    await serve()
    async with served() as (lines, _), served() as (others, _):
        lines.send(call(1))
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        others.send(cancel(1), {"id": 2, "method": "ping"})
        assert (await others.next())["id"] == 2
        assert await ToolExecution.objects.exclude(decision="").acount() == 0
        printer.may_end.set()
        assert "result" in await lines.next()


async def test_end_of_the_input_cancels_what_runs(serve: Serve, printer: Printer) -> None:
    await serve()
    async with served() as (lines, serving):
        lines.send(call(1))
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        lines.end()
        await asyncio.wait_for(asyncio.shield(serving), DEADLINE)
        assert printer.cancelled.is_set()
        assert await statuses() == ["cancelled"]


async def test_calls_of_one_client_are_bounded(serve: Serve, printer: Printer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_CALLS", 1)
    await serve()
    async with served() as (lines, _):
        lines.send(call(1), call(2))
        refused = await lines.next()
        assert (refused["id"], refused["error"]["code"]) == (2, -32603)
        printer.may_end.set()
        assert (await lines.next())["id"] == 1


async def test_question_and_answer_are_lines_and_stateless_requests_stand_beside_them(
    serve: Serve, printer: Printer
) -> None:
    await serve(policy="ask slow.print")
    printer.may_end.set()
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    }
    async with served() as (lines, _):
        capabilities: dict[str, Any] = {"elicitation": {"form": {}}}
        lines.send(
            {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": capabilities}}
        )
        assert (await lines.next())["result"]["protocolVersion"] == "2025-06-18"
        lines.send(call(2))
        question = await lines.next()
        assert question["method"] == "elicitation/create"
        lines.send({"id": 3, **{k: v for k, v in call(3, **meta).items() if k != "id"}})
        assert (await lines.next())["result"]["resultType"] == "input_required"
        answer = {"action": "accept", "content": {"decision": "approve"}}
        lines.send({"id": question["id"], "result": answer}, {"id": question["id"], "result": answer})
        assert (await lines.next())["result"]["structuredContent"] == {"printed": "plover"}
    assert await statuses() == ["succeeded"]


async def test_agent_runs_over_pipes(serve: Serve) -> None:
    await serve(Scripted([text("Hi"), Finished(reason="stop")]))
    async with served() as (lines, _):
        params = {"name": "agent.run", "arguments": {"message": "x"}, "_meta": {"progressToken": 1}}
        lines.send({"id": 1, "method": "tools/call", "params": params})
        assert (await lines.next())["params"]["message"] == "Hi"
        assert (await lines.next())["result"]["structuredContent"]["text"] == "Hi"


async def test_command_serves_the_operator_and_asks_at_the_client_of_the_sdk(tmp_path: Path) -> None:
    (migrated(tmp_path) / "workspaces").mkdir()
    (tmp_path / "workspaces" / "a.txt").write_text("plover")
    variables = environment(tmp_path, TOOL_POLICY="ask fs.write")
    command = StdioServerParameters(
        command=sys.executable, args=[str(ROOT / "manage.py"), "mcp"], env=variables, cwd=str(tmp_path)
    )
    person = Person(decision="approve")
    async with Client(command, elicitation_callback=person) as client:
        done = await client.call_tool("fs.read", {"path": "a.txt"})
        assert done.structured_content["content"] == "plover"
        written = await client.call_tool("fs.write", {"path": "b.txt", "content": "x"})
        assert written.structured_content["created"]
    assert (tmp_path / "workspaces" / "b.txt").read_text() == "x"
    assert len(person.questions) == 1
