"""The response that sends audio as it is made, and writes down how that ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self

from django.http import StreamingHttpResponse

from speech.base import SpeechError
from speech.call_log import CallLog
from speech.service import Spoken
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)


class AudioStream(StreamingHttpResponse):
    """The audio. Where it fails on the way it raises, at which the server cuts the connection: a client notices."""

    def __init__(self, spoken: Spoken, call: CallLog) -> None:
        headers = {
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Speech-Provider": spoken.provider,
            "X-Speech-Model": spoken.model,
            "X-Speech-Voice": spoken.voice,
        }
        if spoken.note:
            headers["X-Speech-Note"] = _one_line(spoken.note)
        super().__init__(_Audio(spoken, call), content_type=spoken.mime, headers=headers)


class _Audio:
    """What is sent; `close` is called by the server when it sends no more, whether or not that is all."""

    def __init__(self, spoken: Spoken, call: CallLog) -> None:
        self._spoken = spoken
        self._call = call
        self._ended = False
        self._closing: asyncio.Task[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._spoken.audio)
        except StopAsyncIteration:
            await self._end(self._call.succeed)
            raise
        except SpeechError as error:
            logger.warning("speech.cut", extra={"provider": self._spoken.provider, "code": error.code})
            await self._end(partial(self._call.fail, error))
            raise
        except asyncio.CancelledError:
            await self._end(self._call.cancel)
            raise
        self._call.take_audio(piece)
        return piece

    def close(self) -> None:
        if not self._ended:
            self._closing = asyncio.get_running_loop().create_task(self._end(self._call.cancel))

    async def _end(self, write: Callable[[], Awaitable[None]]) -> None:
        """Lets go of the provider, and writes down how it ended; where that cannot be, the log says so."""
        self._ended = True
        await self._spoken.audio.aclose()
        try:
            await write()
        except StorageUnavailable:
            logger.warning("speech.not_recorded")


def _one_line(text: str) -> str:
    """What a header's value may be (RFC 9110, section 5.5)."""
    return " ".join(text.encode("ascii", "replace").decode().split())
