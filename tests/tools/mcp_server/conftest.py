"""An MCP server with a tool that prints and then waits, and clients of the official SDK."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from chat.providers.base import Provider
from chat.providers.scripted import Scripted
from tests.access.conftest import Holder
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tools import assembly
from tools.base import Execution, Tool, tool
from tools.mcp_server import offered
from tools.policy import parse
from tools.registry import Registry

DEADLINE = 30
MODERN = "2026-07-28"


class Printer:
    """A tool that prints a text, waits until it may end, and notes that it was cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.texts: list[str] = []

    def tool(self) -> Tool:
        async def print_text(execution: Execution, /, *, text: str = "x") -> dict[str, Any]:
            """Print a text, and wait."""
            self.texts.append(text)
            await execution.emit("stdout", f"{text}\n")
            self.started.set()
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            await execution.emit("stdout", "the end\n")
            return {"printed": text}

        return tool("slow.print", "write", print_text)


Serve = Callable[..., Awaitable[Api]]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def serve(start: Start, printer: Printer, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Start the service with the tool of the printer, and a policy for it."""

    async def begin(*providers: Provider, policy: str = "", **changes: Any) -> Api:
        tools = Registry([printer.tool()])
        context = msgspec.structs.replace(assembly.tool_context(), registry=tools, policy=parse(policy), **changes)
        monkeypatch.setattr(offered, "tool_context", lambda: context)
        return await start(*(providers or (Scripted(),)), tools=tools, policy=policy)

    return begin


@asynccontextmanager
async def connected(api: Api, holder: Holder, mode: Any, **callbacks: Any) -> AsyncIterator[Client]:
    """Connect a client of the SDK over HTTP."""
    async with (
        httpx2.AsyncClient(headers=holder.headers, timeout=DEADLINE) as http,
        Client(streamable_http_client(f"{api.base_url}/mcp", http_client=http), mode=mode, **callbacks) as client,
    ):
        yield client


class Person:
    """The person at the client: answers each question, and remembers them."""

    def __init__(self, action: Any = "accept", **content: Any) -> None:
        self.questions: list[Any] = []
        self._answer = types.ElicitResult(action=action, content=content or None)

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.questions.append(params)
        return self._answer


async def post(api: Api, message: Any, holder: Holder | None = None, **headers: str) -> Any:
    own = {**(holder.headers if holder else {}), **headers}
    return await api.call("POST", "/mcp", json=message, headers=own)


def modern(
    method: str, number: Any = 1, *, elicits: bool = False, **params: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a message of the stateless protocol, and its headers."""
    capabilities: dict[str, Any] = {"elicitation": {"form": {}}} if elicits else {}
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        **params.pop("meta", {}),
    }
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": meta}}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Accept": "application/json, text/event-stream"}
    return message, headers | ({"Mcp-Name": params["name"]} if "name" in params else {})


async def rows(api: Api, holder: Holder) -> list[dict[str, Any]]:
    """Return the executions of a caller, the newest first."""
    found: list[dict[str, Any]] = (await api.get("/tools/executions", headers=holder.headers))["items"]
    return found


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Return the first true value of a condition."""
    async with asyncio.timeout(DEADLINE):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
    return found
