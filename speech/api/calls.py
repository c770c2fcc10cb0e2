"""Calls of the speech service that are written to the log: their intent before they start, and their end."""

from collections.abc import Awaitable
from contextlib import aclosing
from typing import TypeVar

from speech import conf
from speech.api.errors import api_error
from speech.base import SpeechError
from speech.budgets import CallBudget
from speech.call_log import CallLog
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.service import Transcription

Result = TypeVar("Result")


def check_enabled() -> None:
    """Raise `ApiError` (403) if speech is off."""
    # Before the body is parsed and before a row is written, so that disabled speech costs neither.
    try:
        conf.service().check_enabled()
    except SpeechError as error:
        raise api_error(error) from None


async def logged(call: CallLog, work: Awaitable[Result]) -> Result:
    """Return the result. A failure is written to the log of the call and raised as `ApiError`."""
    ended = False
    try:
        result = await work
        ended = True
    except SpeechError as error:
        ended = True
        await call.fail(error)
        raise api_error(error) from error
    finally:
        # Anything else, such as a cancellation, still has to close the row.
        if not ended:
            await call.cancel()
    return result


async def transcribe_whole(call: CallLog, request: TranscriptionRequest) -> Transcription:
    """Transcribe a recording, and write the end of the call. Raises `SpeechError`."""
    call.take_audio(request.audio)
    transcription = await conf.service().transcribe(request, CallBudget(call.payer))
    await call.complete(transcription)
    return transcription


async def synthesize_whole(call: CallLog, request: SynthesisRequest) -> tuple[bytes, str]:
    """Open the call, and return the whole audio of a text, and its media type. Raises `SpeechError`."""
    call.take_text(request.text)
    await call.open()
    service = conf.service()
    synthesis = await service.synthesize(request, CallBudget(call.payer))
    call.begin(synthesis)
    audio = bytearray()
    async with aclosing(synthesis.audio):
        async for piece in synthesis.audio:
            call.take_audio(piece)
            audio += piece
            if len(audio) > service.limits.max_result_bytes:
                message = f"The audio of a sentence has more than {service.limits.max_result_bytes} bytes."
                raise SpeechError(message, code="audio_too_large")
    await call.succeed()
    return bytes(audio), synthesis.mime
