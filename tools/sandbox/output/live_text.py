"""The live output of a command as text."""

import asyncio
import codecs
from contextlib import suppress
from typing import Final

from tools.base import Emit, OutputStream
from tools.commands.output import storable

LAST_PIECE_SECONDS: Final = 0.1


class LiveText:
    """Sends a command's output as text. A character that is cut between two pieces is put together."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders: dict[OutputStream, codecs.IncrementalDecoder] = {
            "stdout": decoder("replace"),
            "stderr": decoder("replace"),
        }

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """Send the next piece."""
        await self._send(stream, self._decoders[stream].decode(piece))

    async def end(self) -> None:
        """Send the rest of a character that the last piece cut off."""
        # A slow subscriber must not delay the result for a few bytes.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_PIECE_SECONDS):
                for stream, decoder in self._decoders.items():
                    await self._send(stream, decoder.decode(b"", final=True))

    async def _send(self, stream: OutputStream, text: str) -> None:
        if text:
            await self._emit(stream, storable(text))
