"""What becomes of a command's output while it comes."""

from collections.abc import Callable, Mapping

from tools.base import OutputStream
from tools.sandbox.capture import Capture
from tools.sandbox.supervision import Take

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024


class Output:
    """Keeps a command's output within bounds, hands it on, and calls `when_too_much` past `most_bytes`."""

    def __init__(self, most_bytes: int, on_output: Take) -> None:
        self.captures: Mapping[OutputStream, Capture] = {
            "stdout": Capture(HEAD_BYTES, TAIL_BYTES),
            "stderr": Capture(HEAD_BYTES, TAIL_BYTES),
        }
        self._left = most_bytes
        self._on_output = on_output
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
            await self._on_output(stream, kept)
        if self.too_much:
            self.when_too_much()
