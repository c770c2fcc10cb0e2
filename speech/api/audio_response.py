"""The response that streams audio and writes the end of the call to the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self

from django.http import StreamingHttpResponse

from speech.base import SpeechError
from speech.call_log import CallLog
from speech.service import Synthesis
from storage.writer import StorageUnavailable
from web.headers import field_value

logger = logging.getLogger(__name__)


class AudioStream(StreamingHttpResponse):
    """A streaming response with the audio of a synthesis."""

    def __init__(self, synthesis: Synthesis, call: CallLog) -> None:
        headers = {
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Speech-Provider": field_value(synthesis.provider),
            "X-Speech-Model": field_value(synthesis.model),
            "X-Speech-Voice": field_value(synthesis.voice),
        }
        if synthesis.note:
            headers["X-Speech-Note"] = field_value(synthesis.note)
        super().__init__(_Audio(synthesis, call), content_type=synthesis.mime, headers=headers)


class _Audio:
    """The iterator over the audio. The server calls `close` when it stops sending, at the end or before."""

    def __init__(self, synthesis: Synthesis, call: CallLog) -> None:
        self._synthesis = synthesis
        self._call = call
        self._ended = False
        self._closing: asyncio.Task[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._synthesis.audio)
        except StopAsyncIteration:
            await self._end(self._call.succeed)
            raise
        except SpeechError as error:
            logger.warning("speech.cut", extra={"provider": self._synthesis.provider, "code": error.code})
            await self._end(partial(self._call.fail, error))
            # The status line is sent already. The exception makes the server close the connection without the last
            # chunk, so the client can see that the audio is incomplete.
            raise
        except asyncio.CancelledError:
            await self._end(self._call.cancel)
            raise
        self._call.take_audio(piece)
        return piece

    def close(self) -> None:
        if not self._ended:
            # Django calls `close` synchronously. The reference protects the task from garbage collection.
            self._closing = asyncio.get_running_loop().create_task(self._end(self._call.cancel))

    async def _end(self, write: Callable[[], Awaitable[None]]) -> None:
        """Release the provider, and write the end of the call, or log that this failed."""
        self._ended = True
        await self._synthesis.audio.aclose()
        try:
            await write()
        except StorageUnavailable:
            logger.warning("speech.not_recorded")
