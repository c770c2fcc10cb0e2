"""What becomes of a command's output while it comes."""

import asyncio
from collections.abc import Callable, Mapping

from tools.base import OutputStream
from tools.sandbox.output.capture import Capture
from tools.sandbox.supervision import Take

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024


class Output:
    """Keeps a command's output within bounds, hands it on, and calls `when_too_much` past `max_bytes`."""

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
        """Whether there was more than the limit."""
        return self._left < 0

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """The next piece; what is past the limit is dropped, and ends the command."""
        kept = piece[: max(0, self._left)]
        self._left -= len(piece)
        if kept:
            self.captures[stream].take(kept)
            await self._hand_on(stream, kept)
        if self.too_much:
            self.when_too_much()

    def hurry(self) -> None:
        """The command is over: what still comes is kept, and nobody is waited for any more."""
        if not self._hurried.done():
            self._hurried.set_result(None)

    async def _hand_on(self, stream: OutputStream, piece: bytes) -> None:
        if self._hurried.done():
            return
        handing = asyncio.ensure_future(self._on_output(stream, piece))
        try:
            await asyncio.wait((handing, self._hurried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not handing.done():
                handing.cancel()
        if not handing.cancelled() and handing.done():
            handing.result()
