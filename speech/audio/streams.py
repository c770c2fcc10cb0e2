"""Streams of audio: bounded in time, converted on their way, and with their first piece at hand."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from speech.audio.encoding import Encoder
from speech.audio.tempo import Tempo
from speech.base import SAMPLE_RATE, AudioFormat, SpeechError

BLOCK: Final = SAMPLE_RATE * 2


async def time_limited(stream: AsyncGenerator[bytes], seconds: float) -> AsyncGenerator[bytes]:
    """The stream, which may be waited for so long in all: how long its reader takes does not count."""
    left = seconds
    async with aclosing(stream):
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(left):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise took_too_long(seconds) from None
            left -= time.monotonic() - began
            yield piece


async def converted(
    pcm: AsyncGenerator[bytes], format_: AudioFormat, speed: float, *, whole: bool
) -> AsyncGenerator[bytes]:
    """Samples as a file of a format, faster or slower."""
    tempo, encoder = Tempo(speed), Encoder(format_, whole=whole)
    async with aclosing(pcm):
        async for piece in pcm:
            for start in range(0, len(piece), BLOCK):
                if audio := await asyncio.to_thread(_add, encoder, tempo, piece[start : start + BLOCK]):
                    yield audio
    if audio := await asyncio.to_thread(lambda: encoder.add(tempo.end()) + encoder.end()):
        yield audio


def _add(encoder: Encoder, tempo: Tempo, pcm: bytes) -> bytes:
    return encoder.add(tempo.add(pcm))


async def started(stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same stream, whose first piece has come. Raises what the stream raises before it, and for an empty one."""
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        raise SpeechError("the answer has no audio", code="provider_protocol", retryable=True) from None
    except BaseException:
        await stream.aclose()
        raise
    return _with_first(first, stream)


async def _with_first(first: bytes, stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(stream):
        yield first
        async for piece in stream:
            yield piece


def took_too_long(seconds: float) -> SpeechError:
    message = f"it took longer than {seconds:g} s (SPEECH_MAX_SECONDS)"
    return SpeechError(message, code="provider_timeout", retryable=True)
