"""What a tool prints: masked, shown live up to a bound, and kept."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tools.base import Output, OutputStream
from tools.output.masking import MaskedStream, Masker
from tools.output.rendering import INLINE_BYTES, Excerpt, without_binary
from tools.output.store import Recording, Stored

MAX_LIVE_CHARS: Final = 256 * 1_024
"""Characters of one execution that are shown live; the rest is kept alone."""

NO_MORE: Final = "[... there is more output; it is kept, and not shown live ...]\n"


class LiveOutput:
    """Takes the pieces of one execution. `recording` keeps the whole, where anything is stored."""

    def __init__(self, masker: Masker, recording: Recording | None) -> None:
        self.excerpt = Excerpt(INLINE_BYTES)
        self._recording = recording
        self._masked: Mapping[OutputStream, MaskedStream] = {
            "stdout": MaskedStream(masker),
            "stderr": MaskedStream(masker),
        }
        self._left = MAX_LIVE_CHARS

    async def take(self, piece: Output) -> list[Output]:
        """What can be shown now."""
        return await self._keep(piece.stream, self._masked[piece.stream].feed(piece.text))

    async def end(self) -> list[Output]:
        """What was held back to be masked whole."""
        return [shown for stream, masked in self._masked.items() for shown in await self._keep(stream, masked.end())]

    async def store(self, data: Any, max_bytes: int) -> Stored | None:
        """Keeps what was printed, or the result of a tool that printed nothing, where the row has no room for it.

        The row has room for results of `max_bytes`.
        """
        if self._recording is None:
            return None
        if self.excerpt.size:
            return await self._recording.end(keep=self.excerpt.size > INLINE_BYTES)
        text = msgspec.json.encode(without_binary(data))
        if len(text) <= max_bytes:
            return None
        await self._recording.add(text.decode())
        return await self._recording.end(keep=True)

    async def _keep(self, stream: OutputStream, text: str) -> list[Output]:
        if not text:
            return []
        self.excerpt.add(text)
        if self._recording is not None:
            await self._recording.add(text)
        if self._left <= 0:
            return []
        self._left -= len(text)
        return [Output(stream=stream, text=text if self._left > 0 else text[: self._left or None] + NO_MORE)]
