"""The speech API: what there is, audio to text, and text to audio."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router
from pydantic import ValidationError

from access.auth import KeyAuth, caller
from speech import conf
from speech.api import provider_listing
from speech.api.audio_response import AudioStream
from speech.api.errors import refusal_of
from speech.api.multipart import Form, NotMultipart, parse
from speech.api.schemas import (
    AUDIO_ANSWER,
    AUDIO_BODY,
    SpeechProviderList,
    SynthesisIn,
    TranscriptionFields,
    TranscriptionOut,
)
from speech.base import SpeechError
from speech.budgets import CallBudget
from speech.call_log import CallLog
from speech.models import SpeechRequest
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.service import Heard
from web.errors import ApiError
from web.schemas import errors
from web.validation import invalid_fields

Result = TypeVar("Result")

router = Router(tags=["speech"], auth=KeyAuth("speech"))

MULTIPART: Final = "multipart/form-data"
AUDIO: Final = "audio/"
ERRORS: Final = errors(400, 401, 403, 413, 415, 422, 429, 502, 503, 504)


LIST_ERRORS: Final = errors(400, 401, 403, 429, 503)


@router.get("/speech/providers", response={200: SpeechProviderList, **LIST_ERRORS})
async def list_providers(request: HttpRequest) -> dict[str, Any]:
    """The providers of speech: configured or why not, their models, voices, formats and languages."""
    return provider_listing.list_providers(conf.service())


@router.post("/speech/transcriptions", response={200: TranscriptionOut, **ERRORS}, openapi_extra=AUDIO_BODY)
async def transcribe(request: HttpRequest) -> Heard:
    """What is said in a recording: the field `file` of a form, or the body itself with an `audio/` content type."""
    _check_enabled()
    wanted = _hearing(request)
    call = CallLog(
        caller(request),
        SpeechRequest.Operation.TRANSCRIPTION,
        provider=wanted.provider,
        model=wanted.model,
        language=wanted.language,
        format=wanted.format,
    )
    call.take_audio(wanted.audio)
    await call.open()
    heard = await _recorded(call, conf.service().transcribe(wanted, CallBudget(call.payer)))
    await call.heard(heard)
    return heard


@router.post("/speech/synthesis", response=ERRORS, openapi_extra=AUDIO_ANSWER)
async def synthesize(request: HttpRequest, body: SynthesisIn) -> HttpResponseBase:
    """The text as audio, streamed as it is made; `X-Speech-...` headers tell who speaks."""
    _check_enabled()
    call = CallLog(
        caller(request),
        SpeechRequest.Operation.SYNTHESIS,
        provider=body.provider,
        model=body.model,
        voice=body.voice,
        format=body.format,
    )
    call.take_text(body.text)
    await call.open()
    spoken = await _recorded(call, conf.service().synthesize(SynthesisRequest(**body.dict()), CallBudget(call.payer)))
    call.begin(spoken)
    return AudioStream(spoken, call)


def _check_enabled() -> None:
    try:
        conf.service().check_enabled()
    except SpeechError as error:
        raise refusal_of(error) from None


async def _recorded(call: CallLog, work: Awaitable[Result]) -> Result:
    """The result; what fails is written down and refused."""
    ended = False
    try:
        result = await work
        ended = True
    except SpeechError as error:
        ended = True
        await call.fail(error)
        raise refusal_of(error) from error
    finally:
        if not ended:
            await call.cancel()
    return result


def _hearing(request: HttpRequest) -> TranscriptionRequest:
    """What the request wants. Raises `ApiError` (400, 415, 422)."""
    content_type = (request.content_type or "").lower()
    if content_type == MULTIPART:
        form = _form(request)
    elif content_type.startswith(AUDIO):
        form = Form(request.body, {name: value for name, value in request.GET.items() if isinstance(value, str)})
    else:
        raise ApiError(
            415,
            "unsupported_media_type",
            f"The body must be sent as Content-Type: {MULTIPART}, with the field file, or {AUDIO}*.",
        )
    try:
        fields = TranscriptionFields(**form.fields)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from None
    given = {name: value or None for name, value in fields.dict().items()}
    return TranscriptionRequest(audio=form.file, **given)


def _form(request: HttpRequest) -> Form:
    try:
        return parse(request.body, request.headers.get("Content-Type", ""))
    except NotMultipart as error:
        raise ApiError(400, "invalid_multipart", f"The body is not a form with a file: {error}.") from None
