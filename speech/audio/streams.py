"""Streams of audio: limits on their time, conversion, and the wait for the first piece."""

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
    """Yield the stream, and wait at most `seconds` for it in total. The time that the consumer takes is free."""
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
    """Yield samples as a file of a format, at another speed."""
    tempo, encoder = Tempo(speed), Encoder(format_, whole=whole)

    def add(samples: bytes) -> bytes:
        return encoder.add(tempo.add(samples))

    # Encoding uses the processor, so it runs in a thread. Blocks of a second keep each step short.
    async with aclosing(pcm):
        async for piece in pcm:
            for start in range(0, len(piece), BLOCK):
                if audio := await asyncio.to_thread(add, piece[start : start + BLOCK]):
                    yield audio
    if audio := await asyncio.to_thread(lambda: encoder.add(tempo.end()) + encoder.end()):
        yield audio


async def started(stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Wait for the first piece, and return the whole stream. Raises `SpeechError` if it fails or is empty."""
    # A failure before the first piece is still an error response, and another provider can be tried.
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
