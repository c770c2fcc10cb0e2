"""Calls and lists of tools of an MCP server, each on a connection of its own, through the official SDK (extra `mcp`).

A call never uses the session of another owner, and every call is preceded by a check of the server's tools.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from tools.base import ToolError, ToolErrorCode
from tools.mcp_client.http_transport import HttpTransport, TooLarge
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import InvalidToolSet, ToolSet, tool_set, visible

MAX_PAGES: Final = 32
MAX_MESSAGE_CHARS: Final = 1_000
ATTEMPTS: Final = 2
"""Connections for one call. The second is only opened if the server cannot have received the call on the first."""

UNKNOWN: Final = "Whether the call had an effect is unknown, and it was not repeated."
CALL_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)

SERVER_ERRORS: Final = 500
"""The first of the statuses of HTTP that say that the server failed."""

Progressed = Callable[[str], Awaitable[None]]
"""Receives a text about the progress of a call."""

Check = Callable[[ToolSet], Awaitable[None]]
"""Receives the server's tools before a call. Raises `ToolError` if the call must not be made."""


class Unsent(Exception):
    """The call failed before the server can have received it. The message says why."""


async def list_tools(server: McpServer) -> ToolSet:
    """Return the tools that a server lists now. Raises `ToolError`."""
    try:
        return await _Attempt(server).tools()
    except Unsent as error:
        raise ToolError(str(error), code="failed") from None


async def call_tool(
    server: McpServer, tool: str, arguments: dict[str, Any], *, check: Check, progressed: Progressed
) -> dict[str, Any]:
    """Call a tool, and return the result in the protocol's form. Raises `ToolError`.

    A server receives the call at most once. Cancelling this cancels the call at the server.
    """
    deadline = time.monotonic() + server.total_seconds
    for left in reversed(range(ATTEMPTS)):
        try:
            return await _Attempt(server, deadline).call(tool, arguments, check, progressed)
        except Unsent as error:
            if not left:
                raise ToolError(f"{error} Nothing was called.", code="failed") from None
    raise AssertionError


class _Attempt:
    """One connection, from its opening to its end. All times are bounded by one timer, which is moved."""

    def __init__(self, server: McpServer, deadline: float | None = None) -> None:
        self._server = server
        self._deadline = deadline
        self._transport = HttpTransport(server.max_result_bytes)
        # One timer that is moved, because each phase has a limit of its own and only one can expire.
        self._timer = asyncio.timeout(None)
        self._phase = "connect"

    async def tools(self) -> ToolSet:
        found: list[ToolSet] = []

        # The tools come as they do before a call, so that both see exactly the same list.
        async def keep(tools: ToolSet) -> None:
            found.append(tools)

        await self._run(keep, None)
        return found[0]

    async def call(self, tool: str, arguments: dict[str, Any], check: Check, progressed: Progressed) -> dict[str, Any]:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            # Only messages count: pings of the stream would let a hung call live for ever.
            self._await_message()
            share = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
            await progressed(f"{share}: {message}" if message else share)

        async def send(client: Client) -> Any:
            params = types.CallToolRequestParams(name=tool, arguments=arguments)
            # Not `call_tool`: it would match the result with a schema of the server, whose patterns may take forever.
            return await client.session.send_request(
                types.CallToolRequest(params=params), CALL_RESULT, progress_callback=on_progress
            )

        result = await self._run(check, send)
        if not isinstance(result, types.CallToolResult):
            raise ToolError("The server asks for input, which is not supported here.", code="failed")
        # Plain JSON from here on: the other modules do not need the library.
        content: dict[str, Any] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return content

    async def _run(self, check: Check, send: Callable[[Client], Awaitable[Any]] | None) -> Any:
        """Connect, check the tools, and send the call if there is one. Return its result."""
        # Errors of the body are carried out of the connection: its task groups would wrap them.
        refusal: ToolError | None = None
        error: Exception | None = None
        result: Any = None
        try:
            async with self._timer:
                self._expire_in(self._server.connect_seconds)
                async with self._connected() as client:
                    try:
                        await check(await self._listed(client))
                        if send is not None:
                            self._phase = "call"
                            self._await_message()
                            result = await send(client)
                    except ToolError as raised:
                        refusal = raised
                    except (MCPError, ValueError, RuntimeError) as raised:
                        error = raised
                    # The end of a session has its own limit, and must not make a finished call fail.
                    self._phase = "close" if result is not None else self._phase
                    self._timer.reschedule(None)
        except Exception as raised:  # noqa: BLE001 - the boundary to the SDK, whose groups may hold any error
            error = error or _first(raised)
        if refusal is not None:
            raise refusal
        if result is None and error is not None:
            raise self._failure(error) from None
        return result

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async def on_message(message: Any) -> None:
            if self._phase == "call":
                self._await_message()

        server = self._server
        seconds = server.connect_seconds
        timeout = httpx2.Timeout(connect=seconds, write=seconds, pool=seconds, read=server.total_seconds)
        async with httpx2.AsyncClient(
            headers=server.headers, transport=self._transport, timeout=timeout, trust_env=False
        ) as http:
            # The transport bounds each answer, so also an event.
            streams = streamable_http_client(server.url, http_client=http, max_sse_event_size=None)
            async with Client(streams, cache=None, message_handler=on_message) as client:
                yield client

    async def _listed(self, client: Client) -> ToolSet:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            found += [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in page.tools]
            # A server may hand out cursors without end.
            cursor = page.next_cursor
            if cursor is None:
                return tool_set(found)
        raise InvalidToolSet(f"Its list of tools has more than {MAX_PAGES} pages.")

    def _await_message(self) -> None:
        """Give the server its time for the next message."""
        self._expire_in(self._server.silence_seconds)

    def _expire_in(self, seconds: float) -> None:
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - time.monotonic())
        # A message may still arrive while the timer has expired.
        if not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time() + seconds)

    def _failure(self, error: Exception) -> ToolError | Unsent:
        """Return the error for the caller: of the call, or that it was not sent."""
        name, sent = f"The MCP server {self._server.name}", self._transport.call_sent
        unknown = f" {UNKNOWN}" if sent else ""
        code: ToolErrorCode = "failed"
        if isinstance(error, TimeoutError):
            code, what = "timed_out", f"{self._what_expired()}.{unknown}"
        elif (problem := self._transport.problem) is not None:
            code = "too_large" if isinstance(problem, TooLarge) else "failed"
            what = f"cannot be used: {problem}.{' The call was made.' if sent else ''}"
        elif isinstance(error, InvalidToolSet):
            what = f"cannot be used. {error}"
        elif self._transport.session_ended and not sent:
            return Unsent(f"{name} ended the session.")
        elif isinstance(error, MCPError) and error.code != types.CONNECTION_CLOSED:
            code, what = _answered(error, self._transport.status, unknown)
        elif isinstance(error, (ValueError, RuntimeError)):
            what = f"answered with something that the protocol does not allow.{unknown}"
        elif sent:
            code, what = "interrupted", f"closed the connection during the call. {UNKNOWN}"
        else:
            # Only the kind of the error: its message may have an address with a secret in its query.
            return Unsent(f"{name} cannot be reached ({type(error).__name__}).")
        return ToolError(f"{name} {what}", code=code)

    def _what_expired(self) -> str:
        server = self._server
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"did not end the call within {server.total_seconds:g} s (total_seconds)"
        if self._phase == "call":
            return f"sent nothing for {server.silence_seconds:g} s (silence_seconds)"
        return f"did not answer within {server.connect_seconds:g} s (connect_seconds)"


def _answered(error: MCPError, status: int | None, unknown: str) -> tuple[ToolErrorCode, str]:
    """Return the code and the text about an error that the server answered with."""
    if status in {401, 403}:
        return "denied", f"cannot be used: it answered with HTTP {status}. Check its headers in MCP_SERVERS_FILE."
    message = visible(str(error.message))[:MAX_MESSAGE_CHARS].rstrip(".")
    if status is not None and status >= SERVER_ERRORS:
        # A gateway may give up on a call that the server continues.
        return "interrupted" if unknown else "failed", f"answered with HTTP {status}: {message}.{unknown}"
    return "failed", f"answered with an error: {message}."


def _first(error: Exception) -> Exception:
    """Return the first error in a group, which the task groups of the SDK make of each error."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
