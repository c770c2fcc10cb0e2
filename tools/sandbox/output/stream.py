"""The output of a running command: it is stored within limits, and sent live."""

import asyncio
from collections.abc import Callable, Mapping

from tools.base import OutputStream
from tools.sandbox.output.capture import Capture
from tools.sandbox.supervision import Take

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024


class Output:
    """Stores a command's output within limits and sends it live. Beyond `max_bytes` it calls `when_too_much`."""

    def __init__(self, max_bytes: int, on_output: Take) -> None:
        self.captures: Mapping[OutputStream, Capture] = {
            "stdout": Capture(HEAD_BYTES, TAIL_BYTES),
            "stderr": Capture(HEAD_BYTES, TAIL_BYTES),
        }
        self._left = max_bytes
        self._on_output = on_output
        self._hurried = asyncio.get_running_loop().create_future()
        self.when_too_much: Callable[[], None] = lambda: None

    @property
    def too_much(self) -> bool:
        """True if there was more output than the limit."""
        return self._left < 0

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """Take the next piece. Bytes beyond the limit are dropped, and end the command."""
        kept = piece[: max(0, self._left)]
        self._left -= len(piece)
        if kept:
            self.captures[stream].take(kept)
            await self._send(stream, kept)
        if self.too_much:
            self.when_too_much()

    def hurry(self) -> None:
        """Only store output from now on, and wait for no subscriber: the command is over."""
        if not self._hurried.done():
            self._hurried.set_result(None)

    async def _send(self, stream: OutputStream, piece: bytes) -> None:
        if self._hurried.done():
            return
        sending = asyncio.ensure_future(self._on_output(stream, piece))
        try:
            await asyncio.wait((sending, self._hurried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sending.done():
                sending.cancel()
        if not sending.cancelled() and sending.done():
            sending.result()
