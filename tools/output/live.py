"""The printed text of a tool: it is masked, shown live up to a limit, and stored."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tools.base import Output, OutputStream
from tools.output.masking import MaskedStream, Masker
from tools.output.rendering import INLINE_BYTES, Excerpt, without_binary
from tools.output.store import Recording, Stored

MAX_LIVE_CHARS: Final = 256 * 1_024
"""Characters of one execution that are shown live; the rest is only stored."""

NO_MORE: Final = "[... more output follows; it is stored, and not shown live ...]\n"


class LiveOutput:
    """Takes the printed pieces of one execution. `recording` stores all of them; it is None if nothing is stored."""

    def __init__(self, masker: Masker, recording: Recording | None) -> None:
        self.excerpt = Excerpt(INLINE_BYTES)
        self._recording = recording
        self._masked: Mapping[OutputStream, MaskedStream] = {
            "stdout": MaskedStream(masker),
            "stderr": MaskedStream(masker),
        }
        self._left = MAX_LIVE_CHARS

    async def take(self, piece: Output) -> list[Output]:
        """Take a piece, and return what can be shown now."""
        return await self._store(piece.stream, self._masked[piece.stream].feed(piece.text))

    async def end(self) -> list[Output]:
        """Return the text that was held back to be masked as a whole."""
        return [shown for stream, masked in self._masked.items() for shown in await self._store(stream, masked.end())]

    async def store(self, data: Any, max_bytes: int) -> Stored | None:
        """Store the printed text if it is too long for the row.

        If nothing was printed, store a result of more than `max_bytes`. Return None if nothing is stored.
        """
        if self._recording is None:
            return None
        if self.excerpt.size:
            return await self._recording.end(keep=self.excerpt.size > INLINE_BYTES)
        # An execution has one output, so a tool that printed has the store for that and not for its result.
        text = msgspec.json.encode(without_binary(data))
        if len(text) <= max_bytes:
            return None
        await self._recording.add(text.decode())
        return await self._recording.end(keep=True)

    async def _store(self, stream: OutputStream, text: str) -> list[Output]:
        if not text:
            return []
        self.excerpt.add(text)
        if self._recording is not None:
            await self._recording.add(text)
        if self._left <= 0:
            return []
        self._left -= len(text)
        return [Output(stream=stream, text=text if self._left > 0 else text[: self._left or None] + NO_MORE)]
