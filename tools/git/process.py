"""One git in the sandbox: GitPython starts the launcher, and the launcher git.

The launcher gets this process's environment in names alone, without a value: GitPython passes them on, and lets no
caller take one away. git itself gets what its policy says.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from tools.git.binding import Git
from tools.sandbox.policy import Policy, Report
from tools.sandbox.supervision import MAX_REPORT_BYTES, STOP_SECONDS, launcher_command
from tools.workspace import Deadline

BLOCK_BYTES = 64 * 1024
POLL_SECONDS = 0.02


class Kept:
    """The start of a stream: at most `max_bytes` of it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._content = bytearray()
        self.complete = True

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def take(self, block: bytes) -> None:
        """The next block, or what there is room for."""
        room = self._max_bytes - len(self._content)
        self._content += block[:room]
        self.complete = self.complete and len(block) <= room


class Process:
    """A launcher that has been told its policy. All calls block; it is over when `started` is."""

    def __init__(self, launcher: Git.AutoInterrupt, report: int) -> None:
        self._held = launcher  # whose end would end the process
        self._launcher = cast("subprocess.Popen[bytes]", launcher.proc)
        self._report = report
        self._stopped: float | None = None

    def tell(self, policy: Policy) -> None:
        """Has git started. A launcher that cannot hear it will be missed by its report."""
        if self._launcher.stdin:
            with suppress(BrokenPipeError):
                self._launcher.stdin.write(policy.encode())
                self._launcher.stdin.flush()

    def collect(self, output: Kept, errors: Kept, deadline: Deadline) -> None:
        """Takes what git writes until all of it has ended.

        It is ordered to end when the deadline is over, or when there is more output than is kept.
        """
        with selectors.DefaultSelector() as selector:
            for stream, kept in ((self._launcher.stdout, output), (self._launcher.stderr, errors)):
                if stream:
                    selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map() and not self._overdue():
                for key, _ in selector.select(POLL_SECONDS):
                    block = os.read(key.fd, BLOCK_BYTES)
                    if block:
                        key.data.take(block)
                    else:
                        selector.unregister(key.fileobj)
                if deadline.over or not output.complete:
                    self.stop()

    def stop(self) -> None:
        """Orders the launcher to end git and all that it has started."""
        if self._stopped is None:
            self._stopped = time.monotonic()
        if self._launcher.stdin:
            with suppress(BrokenPipeError):  # it has ended meanwhile
                self._launcher.stdin.close()

    def end(self) -> None:
        """Sees the launcher gone, which takes at most `STOP_SECONDS`; then kills it."""
        self.stop()
        try:
            self._launcher.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()

    def report(self) -> Report | None:
        """What came of git, which is over then; None of a launcher that had to be killed, or fell."""
        self.end()
        with suppress(BlockingIOError):
            line = os.read(self._report, MAX_REPORT_BYTES)
            return Report.decode(line) if line else None
        return None

    def close(self) -> None:
        """Sees it gone, and lets go of its pipes."""
        self.end()
        for stream in (self._launcher.stdout, self._launcher.stderr):
            if stream:
                stream.close()

    def _overdue(self) -> bool:
        """Whether it was told to end, and has not in its time."""
        return self._stopped is not None and time.monotonic() > self._stopped + STOP_SECONDS


@contextmanager
def started(policy: Policy) -> Iterator[Process]:
    """A git that is certainly gone afterwards. Raises `GitError` and `OSError` where the launcher cannot be started."""
    report, writing = os.pipe()
    os.set_blocking(report, False)
    try:
        process = Process(_launched(writing, policy), report)
        try:
            process.tell(policy)
            yield process
        finally:
            process.close()
    finally:
        os.close(report)


def _launched(report: int, policy: Policy) -> Git.AutoInterrupt:
    """A launcher that has not been told anything."""
    try:
        return Git(os.sep).execute(
            launcher_command(report),
            istream=subprocess.PIPE,
            as_process=True,
            shell=False,
            env=dict.fromkeys(os.environ, ""),
            pass_fds=(report, policy.cwd_handle, *policy.readable_handles),
        )
    finally:
        os.close(report)
