"""The service's end of a launcher: starts it, hands it its policy, drains its output, and sees it gone."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tools.base import OutputStream
from tools.sandbox.kernel import landlock
from tools.sandbox.policy import Policy, Report
from tools.sandbox.refusals import SandboxUnavailableError

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "import sys; sys.path.append(sys.argv[1]); from tools.sandbox.launcher import main; main(int(sys.argv[2]))"
ISOLATED = ("-I", "-S", "-X", "utf8")
BLOCK_BYTES = 64 * 1024
MAX_REPORT_BYTES = 64 * 1024
LAST_PIECE_SECONDS = 0.2
GRACE_SECONDS = 1.5
"""For the launcher to end the command at its limit."""
STOP_SECONDS = 2.0
LATE_STOP_SECONDS = 0.2
"""For a launcher that had its time to end, and is late."""

Take = Callable[[OutputStream, bytes], Awaitable[None]]
"""Gets each piece of output. While it takes its time the command has to wait: its pipe is full."""


class Taker(Protocol):
    """What takes a command's output."""

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """The next piece; the command waits meanwhile."""
        ...

    def hurry(self) -> None:
        """From now on `take` waits for nobody."""
        ...


class Supervision:
    """One launcher and its pipes. Output is taken until it ends, or until `stop` was called and it is over."""

    def __init__(self, process: asyncio.subprocess.Process, report: int, taker: Taker, *, is_guarded: bool) -> None:
        self._process = process
        self._is_guarded = is_guarded
        self._report = report
        self._taker = taker
        self._output: asyncio.Future[Any] = asyncio.gather(self._drain("stdout"), self._drain("stderr"))
        self._ended: asyncio.Future[Any] = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls, policy: Policy, taker: Taker) -> "Supervision":
        """A launcher that has been told the policy."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher_command(writing),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(writing, *policy.handles),
                env={},
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        if process.stdin:
            process.stdin.write(policy.encode())
        return cls(process, reading, taker, is_guarded=policy.landlock_abi >= landlock.SCOPES_ABI)

    async def report(self, seconds: float) -> Report:
        """What came of the command, once all of it has ended: by the launcher's word, or by force.

        `seconds` is the command's limit, after which nobody who takes output is waited for. Raises
        `SandboxUnavailableError`, and what taking output raised.
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
        """Orders the launcher to end the command and all that it has started."""
        if self._process.stdin:
            self._process.stdin.close()

    async def _last_line(self, patience: float) -> bytes:
        """What the launcher left when it was gone; nothing, if it had to be killed."""
        try:
            await self._see_gone(patience)
            return os.read(self._report, MAX_REPORT_BYTES)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._report)

    async def _see_gone(self, patience: float) -> None:
        """Waits until the launcher and its output have ended, at most so many seconds; then kills it, if its guard is
        there to end the command. Without one it alone can, and is left to it.
        """
        self.stop()
        self._taker.hurry()
        _, late = await asyncio.wait({self._output, self._ended}, timeout=patience)
        if late:
            if self._is_guarded:
                with suppress(ProcessLookupError):
                    self._process.kill()
            for future in late:
                future.cancel()
            if not self._is_guarded:
                _leave(self._see_out())

    async def _see_out(self) -> None:
        """Passes over the output of what a late launcher still has to end."""
        await asyncio.gather(_pass_over(self._process.stdout), _pass_over(self._process.stderr), self._process.wait())

    async def _drain(self, stream: OutputStream) -> None:
        reader = self._process.stdout if stream == "stdout" else self._process.stderr
        while reader and (block := await reader.read(BLOCK_BYTES)):
            await self._taker.take(stream, block)


left: set[asyncio.Task[None]] = set()
"""Launchers that were late, while they end what they have started."""


def _leave(ending: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(ending)
    left.add(task)
    task.add_done_callback(left.discard)


async def _pass_over(reader: asyncio.StreamReader | None) -> None:
    while reader and await reader.read(BLOCK_BYTES):
        pass


def launcher_command(report: int) -> Sequence[str]:
    """The launcher's own argv: isolated, and without the environment's packages."""
    return (sys.executable, *ISOLATED, "-c", ENTRY, str(ROOT), str(report))
