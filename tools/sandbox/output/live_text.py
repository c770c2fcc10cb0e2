"""A command's output as text while it comes."""

import asyncio
import codecs
from contextlib import suppress
from typing import Final

from tools.base import Emit, OutputStream
from tools.commands.output import storable

LAST_PIECE_SECONDS: Final = 0.1


class LiveText:
    """Hands a command's output on as text, whatever characters its pieces cut apart."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders: dict[OutputStream, codecs.IncrementalDecoder] = {
            "stdout": decoder("replace"),
            "stderr": decoder("replace"),
        }

    async def take(self, stream: OutputStream, piece: bytes) -> None:
        """The next piece."""
        await self._tell(stream, self._decoders[stream].decode(piece))

    async def end(self) -> None:
        """Tells what a last piece cut off, to whoever still listens."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_PIECE_SECONDS):
                for stream, decoder in self._decoders.items():
                    await self._tell(stream, decoder.decode(b"", final=True))

    async def _tell(self, stream: OutputStream, text: str) -> None:
        if text:
            await self._emit(stream, storable(text))
