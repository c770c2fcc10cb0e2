"""The transport to an MCP server that runs in the sandbox: one message a line, on its standard input and output.

The launcher of the sandbox supervises the server: no process of it outlives the session or the service.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp import types
from mcp.shared.message import SessionMessage

from tools.base import OutputStream
from tools.mcp_client.programs import found_program
from tools.mcp_client.servers import McpServer
from tools.mcp_client.transports.delivery import AnswerRefused, TooLarge, delivery, is_call
from tools.sandbox.policy import Limits
from tools.sandbox.refusals import SandboxError
from tools.sandbox.sandbox import Outcome, Sandbox

logger = logging.getLogger(__name__)

FOR_EVER: Final = 10**9
"""A limit in seconds that no server reaches: a server ends when it is not used, and not after a time."""

ALL_OUTPUT: Final = 2**62
COUNT_SECONDS: Final = 0.1
"""The interval at which the tasks and the memory of a server are counted."""

OPEN_FILES: Final = 1_024
RESERVED_FACTOR: Final = 64
"""Engines of JavaScript reserve far more addresses than they use memory."""

END_SECONDS: Final = 1.0
"""The time for a server to end by itself, once its input has ended."""

MAX_LOG_LINES: Final = 200
"""Lines of a server's error output that are logged, for each time that it runs."""

MAX_LOG_CHARS: Final = 500


class StdioTransport:
    """A server that runs for one session. Its `problem` says why it can no longer be used."""

    def __init__(self, server: McpServer, ended: asyncio.Event) -> None:
        self._server = server
        self._ended = ended
        self._line = bytearray()
        self._log = _ErrorLog(server.name)
        self._incoming: MemoryObjectSendStream[SessionMessage | Exception]
        self.problem: AnswerRefused | None = None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        """Run the server, and open the streams of messages, in the form of the SDK."""
        # Without a buffer: a server that writes more than is read has to wait.
        self._incoming, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.connect_write_pipe(
                asyncio.streams.FlowControlMixin, os.fdopen(writing, "wb")
            )
        except BaseException:
            os.close(reading)
            raise
        input_stream = _Input(asyncio.StreamWriter(transport, protocol, None, loop), self._ended)
        running = asyncio.create_task(self._run(reading))
        try:
            yield incoming, input_stream
        finally:
            # From here on, what the server still writes is dropped.
            incoming.close()
            if transport.get_write_buffer_size():
                transport.abort()
            else:
                transport.close()
            try:
                await asyncio.wait([running], timeout=END_SECONDS)
            finally:
                running.cancel()
                await asyncio.wait([running])
                os.close(reading)

    async def _run(self, input_handle: int) -> None:
        server = self._server
        writable: list[int] = []
        try:
            program, programs = found_program(server.command[0], server.read, network=server.network)
            writable += [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in server.write]
            outcome = await Sandbox(programs).run(
                (program, *server.command[1:]),
                cwd_handle=None,
                writable_handles=writable,
                limits=Limits(
                    wall_seconds=FOR_EVER,
                    cpu_seconds=FOR_EVER,
                    memory_bytes=server.memory_bytes,
                    open_files=OPEN_FILES,
                    tasks=server.tasks,
                    output_bytes=ALL_OUTPUT,
                    addresses=RESERVED_FACTOR,
                    count_seconds=COUNT_SECONDS,
                ),
                environment=server.environment,
                on_output=self._take,
                input_handle=input_handle,
                network=server.network,
                runs_files=True,
            )
            self._fail(AnswerRefused(_ending(outcome)))
        except (SandboxError, OSError) as error:
            self._fail(AnswerRefused(f"it could not be started: {error}"))
        finally:
            for handle in writable:
                os.close(handle)
            self._log.end()
            self._incoming.close()
            self._ended.set()

    def _fail(self, problem: AnswerRefused) -> None:
        # The first problem is the cause of the others.
        self.problem = self.problem or problem

    async def _take(self, stream: OutputStream, piece: bytes) -> None:
        """Take a piece of output."""
        if stream == "stderr":
            self._log.take(piece)
            return
        if self.problem is not None:
            return
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._line += line
            await self._receive(is_whole=True)
        self._line += rest
        await self._receive(is_whole=False)

    async def _receive(self, *, is_whole: bool) -> None:
        """Receive a line if it is whole. A part of one is only measured."""
        most = self._server.max_result_bytes
        if len(self._line) > most:
            self._give_up(TooLarge(f"its answer has more than {most} bytes (max_result_bytes)"))
        if not is_whole:
            return
        line = bytes(self._line)
        self._line.clear()
        if not line.strip() or self.problem is not None:
            return
        try:
            message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            # Without an end here, a call would wait for an answer that may never come.
            self._give_up(AnswerRefused("it wrote something else than a message to its standard output"))
            return
        try:
            await self._incoming.send(SessionMessage(message))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    def _give_up(self, problem: AnswerRefused) -> None:
        """End the session, and with it the server."""
        self._fail(problem)
        self._line.clear()
        self._incoming.close()
        self._ended.set()


class _Input:
    """The standard input of a server, as a stream of the SDK."""

    def __init__(self, writer: asyncio.StreamWriter, ended: asyncio.Event) -> None:
        self._writer = writer
        self._ended = ended

    async def send(self, item: SessionMessage) -> None:
        """Write a message. Raises `anyio.ClosedResourceError` if the server has ended."""
        message = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        # An answer to the server, or a notice of a cancelled call.
        may_be_lost = "method" not in message or "id" not in message
        if self._ended.is_set() or self._writer.transport.is_closing():
            raise anyio.ClosedResourceError
        if may_be_lost and self._writer.transport.get_write_buffer_size():
            # A server that does not read must neither delay the end of a call, nor fill the memory with answers.
            return
        if is_call(message):
            delivery().sent = True
        self._writer.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        await self._writer.drain()

    async def aclose(self) -> None:
        """Do nothing: the input ends with the session."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


class _ErrorLog:
    """The error output of a server, as bounded lines of the log."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._line = b""
        self._lines = 0

    def take(self, piece: bytes) -> None:
        if self._lines >= MAX_LOG_LINES:
            return
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._write(self._line + line)
            self._line = b""
        self._line = (self._line + rest)[:MAX_LOG_CHARS]

    def end(self) -> None:
        self._write(self._line)

    def _write(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()[:MAX_LOG_CHARS]
        if text and self._lines < MAX_LOG_LINES:
            self._lines += 1
            logger.info("mcp.stderr", extra={"server": self._server, "line": text})
        if self._lines == MAX_LOG_LINES:
            logger.info("mcp.stderr_dropped", extra={"server": self._server, "after_lines": MAX_LOG_LINES})
            self._lines += 1


def _ending(outcome: Outcome) -> str:
    """Return how a server ended, as a part of a sentence."""
    if outcome.ended == "too_much_memory":
        return "it was ended: it used more than memory_bytes"
    if outcome.ended == "too_many_tasks":
        return "it was ended: it started more than tasks"
    if outcome.ended == "too_much_space":
        return "it was ended: its temporary folder became too large"
    how = f"signal {outcome.signal}" if outcome.signal else f"exit code {outcome.exit_code}"
    return f"it ended ({how}); the service's log has its error output"
