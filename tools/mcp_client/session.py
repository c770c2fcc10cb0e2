"""A session with an MCP server, through the official SDK (extra `mcp`). A task of its own holds it open."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mcp import Client, types
from mcp.client.session import ClientRequestContext
from mcp.shared.dispatcher import ProgressFnT
from pydantic import TypeAdapter

from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import InvalidToolSet, ToolSet, tool_set, visible
from tools.mcp_client.transports.delivery import AnswerRefused, Delivery
from tools.mcp_client.transports.http import HttpTransport
from tools.mcp_client.transports.stdio import StdioTransport

MAX_PAGES: Final = 32
MAX_DECLINED: Final = 4
MAX_QUESTION_CHARS: Final = 300
CLOSE_SECONDS: Final = 5.0
"""The time for a session to end, before it is cut."""

OnMessage = Callable[[], None]
"""Is called when the server has sent a message that may be about the call."""


class Session:
    """An open session. Calls on it may come from any task.

    A session over HTTP is for one call at a time: if a request fails, the SDK ends the whole session. A program in the
    sandbox has one session for all calls of its owner.
    """

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self.max_calls = server.max_parallel if server.command else 1
        self.is_spent = False
        self.failure: Exception | None = None
        self._leaving = asyncio.Event()
        self._transport = StdioTransport(server, self._leaving) if server.command else HttpTransport(server)
        self._calls: dict[Delivery, OnMessage] = {}
        self._task: asyncio.Task[None]
        self._client: Client

    @property
    def has_ended(self) -> bool:
        return self._leaving.is_set() or self._task.done()

    @property
    def problem(self) -> AnswerRefused | None:
        """The reason why the server can no longer be used in this session; None if that is not known."""
        return self._transport.problem

    async def open(self) -> None:
        """Connect, and shake hands. Raises the error of the transport or of the SDK."""
        try:
            await self._open("auto")
        except AnswerRefused:
            if not self.server.command:
                raise
            # Some programs end when the first message is not the handshake of an earlier protocol.
            self._leaving = asyncio.Event()
            self._transport = StdioTransport(self.server, self._leaving)
            await self._open("legacy")

    async def _open(self, mode: str) -> None:
        opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(opened, mode))
        try:
            self._client = await opened
        except BaseException:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            raise

    async def close(self) -> None:
        """End the session, and wait until it has ended."""
        self._leaving.set()
        _, late = await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        if late:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def until_broken(self) -> None:
        """Wait a moment until the cause is known for which all calls of the session failed."""
        if self.problem is None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    def begin(self, call: Delivery, on_message: OnMessage) -> None:
        """Count a call that begins."""
        self._calls[call] = on_message

    def end(self, call: Delivery) -> None:
        """Count a call that has ended."""
        self._calls.pop(call, None)

    async def tools(self) -> ToolSet:
        """Return the tools that the server lists now. Raises `InvalidToolSet`, and the errors of the SDK."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            found += [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in page.tools]
            # A server may hand out cursors without end.
            cursor = page.next_cursor
            if cursor is None:
                return tool_set(found)
        raise InvalidToolSet(f"Its list of tools has more than {MAX_PAGES} pages.")

    async def ask(
        self, request: Any, result_type: TypeAdapter[Any], on_progress: ProgressFnT | None = None
    ) -> dict[str, Any]:
        """Send a request, and return its result in the protocol's form. Raises the errors of the SDK."""
        result = await self._client.session.send_request(request, result_type, progress_callback=on_progress)
        # Plain JSON from here on: the other modules do not need the library.
        content: dict[str, Any] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return content

    async def answer(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Answer a question of the server, or decline it. The result of a declined call has a note."""
        # A question does not name its call. With several of one owner, it is unknown whose it is.
        calls = tuple(self._calls)
        if len(calls) == 1:
            return await answered(calls[0], params)
        for call in calls:
            decline(call, params)
        return types.ElicitResult(action="decline")

    async def _hold(self, opened: "asyncio.Future[Client]", mode: str) -> None:
        """Keep the session open until it is left. Errors are those of the session as a whole."""

        async def on_message(message: Any) -> None:
            # Progress belongs to one call, which gets it by itself: it must keep no other one alive.
            if not isinstance(message, types.ProgressNotification):
                for each in tuple(self._calls.values()):
                    each()

        streams, leaving = self._transport.streams(), self._leaving
        try:
            async with Client(
                streams, mode=mode, cache=None, message_handler=on_message, elicitation_callback=self.answer
            ) as client:
                if opened.done():
                    return
                opened.set_result(client)
                await leaving.wait()
        except Exception as raised:  # noqa: BLE001 - the boundary to the SDK, whose groups may hold any error
            error = raised
            # The task groups of the SDK make a group of each error.
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            self.failure = self.problem or error
            if not opened.done():
                opened.set_exception(self.failure)
        finally:
            leaving.set()


async def answered(call: Delivery, params: types.ElicitRequestParams) -> types.ElicitResult:
    """Return the answer to a question of a call."""
    # A question with a URL sends a person to a page, and its answer says nothing about what happens there.
    if isinstance(params, types.ElicitRequestFormParams):
        content = await call.ask(params.message, dict(params.requested_schema))
        if content is not None:
            return types.ElicitResult(action="accept", content=content)
    decline(call, params)
    return types.ElicitResult(action="decline")


def decline(call: Delivery, params: types.ElicitRequestParams) -> None:
    """Note for the result of a call that a question was declined."""
    if len(call.declined) < MAX_DECLINED:
        call.declined.append(visible(params.message)[:MAX_QUESTION_CHARS])
