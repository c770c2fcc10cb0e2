"""The service's side of a launcher: it starts it, sends the policy, reads the output, and waits for the end."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

from kernel import landlock
from tools.base import OutputStream
from tools.sandbox.policy import Policy, Report
from tools.sandbox.refusals import SandboxUnavailableError

# Isolated from the environment's packages and variables: `-I -S`, and only the project's own folder on the path.
ROOT = Path(__file__).resolve().parents[2]
ENTRY = "import sys; sys.path.append(sys.argv[1]); from tools.sandbox.launcher import main; main(int(sys.argv[2]))"
ISOLATED = ("-I", "-S", "-X", "utf8")
BLOCK_BYTES = 64 * 1024
MAX_REPORT_BYTES = 64 * 1024
LAST_PIECE_SECONDS = 0.2
GRACE_SECONDS = 1.5
"""The time for a launcher to end the command at its limit."""
STOP_SECONDS = 2.0
"""The time for a launcher to end after `stop`."""
LATE_STOP_SECONDS = 0.2
"""The same for a launcher that is late already."""

STREAMS: tuple[OutputStream, OutputStream] = ("stdout", "stderr")
Take = Callable[[OutputStream, bytes], Awaitable[None]]
"""Gets each piece of output. The command waits meanwhile, once its pipe is full."""


class Taker(Protocol):
    """The receiver of a command's output."""

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """Take the next piece. The command waits meanwhile."""
        ...

    def hurry(self) -> None:
        """Make `take` return at once from now on, also a call that waits."""
        ...


class Supervision:
    """A launcher and its pipes. Output is read until it ends, or for a while after `stop`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        report: int,
        pipes: Sequence["Pipe"],
        taker: Taker,
        *,
        is_guarded: bool,
    ) -> None:
        self._process = process
        self._pipes = pipes
        self._is_guarded = is_guarded
        self._report = report
        self._taker = taker
        self._output: asyncio.Future[Any] = asyncio.gather(*map(self._drain, pipes))
        self._ended: asyncio.Future[Any] = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls, policy: Policy, taker: Taker) -> "Supervision":
        """Start a launcher, and send it the policy."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        pipes: list[Pipe] = []
        with ExitStack() as ends:
            ends.callback(os.close, writing)
            try:
                for stream in STREAMS:
                    pipes.append(await Pipe.open(stream))
                    ends.callback(os.close, pipes[-1].writing)
                process = await asyncio.create_subprocess_exec(
                    *launcher_command(writing),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=pipes[0].writing,
                    stderr=pipes[1].writing,
                    pass_fds=(writing, *policy.handles),
                    env={},
                )
            except BaseException:
                os.close(reading)
                for pipe in pipes:
                    pipe.close()
                raise
        if process.stdin:
            process.stdin.write(policy.encode())
        return cls(process, reading, pipes, taker, is_guarded=policy.landlock_abi >= landlock.SCOPES_ABI)

    async def report(self, seconds: float) -> Report:
        """Wait until the command has ended, by itself or by force, and return the launcher's report.

        `seconds` is the command's limit; after it, the receiver of the output is not waited for. Raises
        `SandboxUnavailableError`, and the errors of `take`.
        """
        patience = STOP_SECONDS
        try:
            _, pending = await asyncio.wait(
                {self._output, self._ended}, timeout=seconds + LAST_PIECE_SECONDS, return_when=asyncio.FIRST_EXCEPTION
            )
            failed = self._output.done() and self._output.exception()
            if self._ended in pending and not failed:
                _, late = await asyncio.wait({self._ended}, timeout=GRACE_SECONDS)
                patience = LATE_STOP_SECONDS if late else STOP_SECONDS
        finally:
            line = await self._last_line(patience)
        if self._output.done() and not self._output.cancelled():
            self._output.result()
        if not line:
            raise SandboxUnavailableError("The launcher of commands ended without a report.")
        return Report.decode(line)

    def stop(self) -> None:
        """Make the launcher end the command and its child processes: the end of its input is the order."""
        if self._process.stdin:
            self._process.stdin.close()

    async def _last_line(self, patience: float) -> bytes:
        """Wait for the launcher's end, and return its last line; empty if it was killed."""
        try:
            await self._wait_or_kill(patience)
            return os.read(self._report, MAX_REPORT_BYTES)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._report)

    async def _wait_or_kill(self, patience: float) -> None:
        """Wait at most `patience` seconds until the launcher and its output have ended; then kill it."""
        self.stop()
        self._taker.hurry()
        _, late = await asyncio.wait({self._output, self._ended}, timeout=patience)
        if not late:
            self._close()
            return
        if self._is_guarded:
            with suppress(ProcessLookupError):
                self._process.kill()
        for future in late:
            # A gathering that is cancelled keeps its error, and is logged unless it is retrieved.
            future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            future.cancel()
        if self._is_guarded:
            self._close()
        else:
            # Without a guard only the launcher can end the command, so it must not be killed. Its pipes are read in
            # the background: a full one would block it.
            process = self._process
            rest: asyncio.Future[Any] = asyncio.gather(*map(_skip, self._pipes), process.wait())
            left.add(rest)
            rest.add_done_callback(left.discard)

    def _close(self) -> None:
        for pipe in self._pipes:
            pipe.close()

    async def _drain(self, pipe: "Pipe") -> None:
        while block := await pipe.reader.read(BLOCK_BYTES):
            await self._taker.take(pipe.stream, block)


class Pipe:
    """The reading end of a pipe for one stream of a command.

    Event loops by themselves make sockets: with these, a command could pass handles and learn about the service.
    """

    def __init__(
        self, stream: OutputStream, writing: int, reader: asyncio.StreamReader, close: Callable[[], None]
    ) -> None:
        self.stream = stream
        self.writing = writing
        self.reader = reader
        self.close = close

    @classmethod
    async def open(cls, stream: OutputStream) -> "Pipe":
        """Open a pipe. The caller closes its writing end."""
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        file = os.fdopen(reading, "rb", 0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        return cls(stream, writing, reader, transport.close)


# The event loop itself keeps only weak references.
left: set[asyncio.Future[Any]] = set()
"""Late launchers that still end the processes of their command."""


async def _skip(pipe: Pipe) -> None:
    while await pipe.reader.read(BLOCK_BYTES):
        pass
    pipe.close()


def launcher_command(report: int) -> Sequence[str]:
    """Return the argv of the launcher."""
    return (sys.executable, *ISOLATED, "-c", ENTRY, str(ROOT), str(report))
