"""An MCP server on a real socket, made with the official SDK, which counts its calls and can misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from tools.mcp_client import sessions
from tools.mcp_client.servers import McpServer

DEADLINE = 30
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

Handler = Callable[[Any, dict[str, Any]], Awaitable[Any]]
Intercept = Callable[[str, dict[str, Any]], tuple[int, dict[str, str], bytes] | None]


def listed(name: str, description: str = "A tool.", **fields: Any) -> types.Tool:
    return types.Tool(name=name, description=description, input_schema=fields.pop("schema", SCHEMA), **fields)


def text_result(text: str, **fields: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], **fields)


class Fake:
    """A server. `legacy` is a protocol with a session, in place of the stateless one.

    `intercept` may answer a method in its place, and `more` are further handlers of the SDK.
    """

    def __init__(self, *tools: types.Tool, legacy: str = "", json_response: bool = False, **more: Any) -> None:
        self._more = more
        self.tools = list(tools) or [listed("echo")]
        self.calls: list[dict[str, Any]] = []
        self.methods: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sessions: set[str] = set()
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.pages: int | None = None
        self.handler: Handler = self.echo
        self.intercept: Intercept = lambda method, headers: None
        self.legacy = legacy
        self._json = json_response
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def echo(self, context: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        return text_result(str(arguments.get("text")))

    async def wait(self, context: Any, arguments: dict[str, Any]) -> types.CallToolResult:
        """Wait until the call is cancelled."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError

    def entry(self, **changes: Any) -> McpServer:
        return McpServer(**{"name": "fake", "url": f"http://127.0.0.1:{self.port}/mcp", **changes})

    async def start(self) -> "Fake":
        async def on_list(context: Any, params: Any) -> types.ListToolsResult:
            if self.pages is None:
                return types.ListToolsResult(tools=self.tools)
            place = int((params and params.cursor) or 0)
            more = str(place + 1) if place + 1 < self.pages else None
            return types.ListToolsResult(tools=self.tools if place == 0 else [], next_cursor=more)

        async def on_call(context: Any, params: types.CallToolRequestParams) -> Any:
            call = {"name": params.name, "arguments": params.arguments, "responses": params.input_responses}
            self.calls.append(call)
            self.started.set()
            return await self.handler(context, params.arguments or {})

        server: Server[Any] = Server("fake", version="1", on_list_tools=on_list, on_call_tool=on_call, **self._more)
        app = server.streamable_http_app(json_response=self._json)

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            await self._request(app, scope, receive, send)

        config = uvicorn.Config(wrapped, port=self.port, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(DEADLINE):
            while not self._server.started:
                await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop at once, as a crash does: open connections are cut."""
        if self._server is None or self._task is None:
            return
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        self._server.should_exit = self._server.force_exit = True
        with suppress(asyncio.CancelledError):
            await self._task
        self._server = None

    async def _request(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.headers.append(headers)
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        method = json.loads(body).get("method", "answer") if body else scope["method"]
        if method == "initialize":
            # The SDK takes the version that the client offers.
            body = body.replace(LATEST_HANDSHAKE_VERSION.encode(), self.legacy.encode())
        self.methods.append(method)
        answer = self.intercept(method, headers)
        if answer is None and self.legacy and method == "server/discover":
            answer = (400, {"content-type": "text/plain"}, b"no")
        if answer is not None:
            status, fields, content = answer
            raw = [(name.encode(), value.encode()) for name, value in fields.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": content})
            return
        sent = False

        async def again() -> Any:
            nonlocal sent
            if scope["method"] == "POST" and not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await app(scope, again, send)


@asynccontextmanager
async def running(*tools: types.Tool, **options: Any) -> AsyncIterator[Fake]:
    fake = await Fake(*tools, **options).start()
    try:
        yield fake
    finally:
        await sessions.close()
        await fake.stop()
