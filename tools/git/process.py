"""A git process in the sandbox: GitPython starts the launcher, and the launcher starts git."""

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
    """The first `max_bytes` of a stream."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._content = bytearray()
        self.complete = True

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def take(self, block: bytes) -> None:
        """Add the next block, as far as there is room."""
        room = self._max_bytes - len(self._content)
        self._content += block[:room]
        self.complete = self.complete and len(block) <= room


class Process:
    """A launcher and its git. All calls block; the process ends with the context `started`."""

    def __init__(self, launcher: Git.AutoInterrupt, report: int) -> None:
        # GitPython kills the process when this object is collected.
        self._held = launcher
        self._launcher = cast("subprocess.Popen[bytes]", launcher.proc)
        self._report = report
        self._stopped: float | None = None

    def send(self, policy: Policy) -> None:
        """Send the policy to the launcher, which then starts git."""
        if self._launcher.stdin:
            # A launcher that has ended already sends no report, which is noticed later.
            with suppress(BrokenPipeError):
                self._launcher.stdin.write(policy.encode())
                self._launcher.stdin.flush()

    def collect(self, output: Kept, errors: Kept, deadline: Deadline) -> None:
        """Read git's output until git and its children have ended.

        They are stopped when the deadline is over, or when there is more output than is kept.
        """
        with selectors.DefaultSelector() as selector:
            for stream, kept in ((self._launcher.stdout, output), (self._launcher.stderr, errors)):
                if stream:
                    selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map():
                # A process that the launcher could not end may hold a pipe open.
                if self._stopped is not None and time.monotonic() > self._stopped + STOP_SECONDS:
                    return
                for key, _ in selector.select(POLL_SECONDS):
                    block = os.read(key.fd, BLOCK_BYTES)
                    if block:
                        key.data.take(block)
                    else:
                        selector.unregister(key.fileobj)
                if deadline.over or not output.complete:
                    self.stop()

    def stop(self) -> None:
        """Make the launcher end git and its children: the end of its input is the order."""
        if self._stopped is None:
            self._stopped = time.monotonic()
        if self._launcher.stdin:
            # It may have ended meanwhile.
            with suppress(BrokenPipeError):
                self._launcher.stdin.close()

    def end(self) -> None:
        """Wait at most `STOP_SECONDS` for the launcher's end; then kill it."""
        self.stop()
        try:
            self._launcher.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()

    def report(self) -> Report | None:
        """Wait for the end, and return the launcher's report; None if it was killed or failed."""
        self.end()
        with suppress(BlockingIOError):
            line = os.read(self._report, MAX_REPORT_BYTES)
            return Report.decode(line) if line else None
        return None

    def close(self) -> None:
        """Wait for the end, and close the pipes."""
        self.end()
        for stream in (self._launcher.stdout, self._launcher.stderr):
            if stream:
                stream.close()


@contextmanager
def started(policy: Policy) -> Iterator[Process]:
    """Start git; afterwards it has certainly ended. Raises `GitError` and `OSError` if the launcher cannot start."""
    report, writing = os.pipe()
    os.set_blocking(report, False)
    try:
        try:
            launcher = Git(os.sep).execute(
                launcher_command(writing),
                istream=subprocess.PIPE,
                as_process=True,
                shell=False,
                # GitPython adds this to the process's environment and can remove no variable: emptying them hides
                # their values. git itself gets only the environment of its policy.
                env=dict.fromkeys(os.environ, ""),
                pass_fds=(writing, *policy.handles),
            )
        finally:
            os.close(writing)
        process = Process(launcher, report)
        try:
            process.send(policy)
            yield process
        finally:
            process.close()
    finally:
        os.close(report)
