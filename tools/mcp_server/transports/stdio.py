"""The transport over standard input and output: one message a line, many calls at the same time."""

import asyncio
import logging
import secrets
from typing import Any, BinaryIO, Final

import msgspec

from access.caller import Caller
from storage.writer import StorageUnavailable
from tools.mcp_server import agents, server
from tools.mcp_server.calls import open_calls
from tools.mcp_server.calls.exchange import Exchange, end_all
from tools.mcp_server.calls.requests import StartedCall
from tools.mcp_server.messages.clients import Client
from tools.mcp_server.messages.protocol import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    RpcError,
    RpcRequest,
    RpcResponse,
    failure,
    id_of,
    parse,
    result,
)
from web import strict_json
from web.errors import ApiError

logger = logging.getLogger(__name__)

MAX_CALLS: Final = 32
"""Calls that one client may have under way."""

MAX_LINE_BYTES: Final = 8 * 2**20


class StdioServer:
    """Serves one client until its input ends."""

    def __init__(self, source: BinaryIO, target: BinaryIO, caller: Caller) -> None:
        self._source = source
        self._target = target
        self._caller = caller
        # Each process has one client, and cancels the calls of no other.
        self._client = Client(link=secrets.token_urlsafe(12))
        self._writing = asyncio.Lock()
        self._calls: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer each line. At the end of the input, cancel the calls under way and wait for their cleanup."""
        try:
            while line := await asyncio.to_thread(self._source.readline, MAX_LINE_BYTES):
                await self._take(line)
        finally:
            await end_all()
            if self._calls:
                await asyncio.wait(self._calls)
            if (agent := agents.registered()) is not None:
                await agent.close()

    async def _take(self, line: bytes) -> None:
        message: Any = None
        try:
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while not line.endswith(b"\n") and line:
                    line = await asyncio.to_thread(self._source.readline, MAX_LINE_BYTES)
                raise RpcError(INVALID_REQUEST, f"A line has at most {MAX_LINE_BYTES} bytes.")
            message = strict_json.loads(line)
            parsed = parse(message)
            if isinstance(parsed, RpcResponse):
                await server.take_response(parsed, self._caller)
            elif parsed.id is None:
                await server.take_notification(parsed, self._caller, self._client)
            else:
                await self._answer(parsed)
        except strict_json.NotJson as error:
            await self._write(failure(None, RpcError(INVALID_REQUEST, str(error))))
        except RpcError as error:
            # A notification gets no response, whatever is wrong with it.
            if not isinstance(message, dict) or "id" in message:
                await self._write(failure(id_of(message), error))
        except (ApiError, StorageUnavailable):
            # These come from answers and notifications, whose sender waits for nothing.
            logger.warning("mcp.message_lost", exc_info=True)

    async def _answer(self, request: RpcRequest) -> None:
        number = request.id or 0
        client = server.client_of(request, None, self._client)
        if request.method == "initialize":
            self._client = msgspec.structs.replace(server.greeted(request), link=self._client.link)
        if len(self._calls) >= MAX_CALLS:
            raise RpcError(INTERNAL_ERROR, f"{MAX_CALLS} calls are under way. Wait until one ends.")
        reference = open_calls.reference_of(number, self._caller, self._client.link)
        answer = await server.answer(request, self._caller, client, streams=True, reference=reference)
        if not isinstance(answer, StartedCall):
            await self._write(result(number, answer))
            return
        open_calls.current().add(reference, answer.exchange)
        task = asyncio.get_running_loop().create_task(self._send(answer.exchange))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _send(self, exchange: Exchange) -> None:
        async for message in exchange:
            if message is not None and not exchange.is_cancelled:
                await self._write(message)

    async def _write(self, message: dict[str, Any]) -> None:
        # A message is one line. JSON has no line ends outside of its texts, where they are escaped.
        line = msgspec.json.encode(message) + b"\n"
        async with self._writing:
            await asyncio.to_thread(self._target.write, line)
            await asyncio.to_thread(self._target.flush)
