"""The service's end of a launcher: starts it, hands it its policy, drains its output, and sees it gone."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tools.base import OutputStream
from tools.sandbox.policy import Policy, Report
from tools.sandbox.refusals import SandboxUnavailableError

ROOT = Path(__file__).resolve().parents[2]
ENTRY = "import sys; sys.path.append(sys.argv[1]); from tools.sandbox.launcher import main; main(int(sys.argv[2]))"
ISOLATED = ("-I", "-S", "-X", "utf8")
BLOCK_BYTES = 64 * 1024
MOST_REPORT_BYTES = 64 * 1024
STOP_SECONDS = 2.0

Take = Callable[[OutputStream, bytes], Awaitable[None]]
"""Gets each piece of output. While it takes its time the command has to wait: its pipe is full."""


class Supervision:
    """One launcher and its pipes. Output goes to `take` until it ends, or until `stop` was called and it is over."""

    def __init__(self, process: asyncio.subprocess.Process, report: int, take: Take) -> None:
        self._process = process
        self._report = report
        self._output = asyncio.gather(self._drain("stdout", take), self._drain("stderr", take))

    @classmethod
    async def start(cls, policy: Policy, take: Take) -> "Supervision":
        """A launcher that has been told the policy."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher_command(writing),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(writing, policy.cwd_handle, *policy.readable_handles, *policy.writable_handles),
                env={},
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        if process.stdin:
            process.stdin.write(policy.encode())
        return cls(process, reading, take)

    async def report(self, seconds: float) -> Report:
        """What came of the command, once all of it has ended: by the launcher's word, or by force after `seconds`.

        Raises `SandboxUnavailableError`.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._output), seconds)
        except TimeoutError:
            self.stop()
        finally:
            line = await self._last_line()
        if not line:
            raise SandboxUnavailableError("The launcher of commands ended without a report.")
        return Report.decode(line)

    def stop(self) -> None:
        """Orders the launcher to end the command and all that it has started."""
        if self._process.stdin:
            self._process.stdin.close()

    async def _last_line(self) -> bytes:
        """What the launcher left when it was gone; nothing, if it had to be killed."""
        try:
            await self._see_gone()
            return os.read(self._report, MOST_REPORT_BYTES)
        except BlockingIOError:
            return b""
        finally:
            os.close(self._report)

    async def _see_gone(self) -> None:
        """Waits until the launcher and its output have ended, at most `STOP_SECONDS`; then kills it."""
        self.stop()
        ends: set[asyncio.Future[Any]] = {self._output, asyncio.ensure_future(self._process.wait())}
        _, late = await asyncio.wait(ends, timeout=STOP_SECONDS)
        if late:
            self._process.kill()
            for future in late:
                future.cancel()

    async def _drain(self, stream: OutputStream, take: Take) -> None:
        reader = self._process.stdout if stream == "stdout" else self._process.stderr
        while reader and (block := await reader.read(BLOCK_BYTES)):
            await take(stream, block)


def launcher_command(report: int) -> Sequence[str]:
    """The launcher's own argv: isolated, and without the environment's packages."""
    return (sys.executable, *ISOLATED, "-c", ENTRY, str(ROOT), str(report))
