"""The views of the speech API."""

from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router

from access.auth import KeyAuth, caller
from speech import conf
from speech.api.audio_response import AudioStream
from speech.api.calls import check_enabled, logged, transcribe_whole
from speech.api.parsing import parse_transcription
from speech.api.provider_listing import describe_providers
from speech.api.schemas import (
    AUDIO_ANSWER,
    AUDIO_BODY,
    WITHOUT_EFFECT,
    SpeechProviderList,
    SynthesisIn,
    TranscriptionOut,
)
from speech.budgets import CallBudget
from speech.call_log import CallLog
from speech.models import SpeechRequest
from speech.requests import SynthesisRequest
from speech.service import Transcription
from web.schemas import errors

router = Router(tags=["speech"], auth=KeyAuth("speech"))

ERRORS: Final = errors(400, 401, 403, 413, 415, 422, 429, 502, 503, 504)
LIST_ERRORS: Final = errors(400, 401, 403, 429, 503)


@router.get("/speech/providers", response={200: SpeechProviderList, **LIST_ERRORS})
async def list_speech_providers(request: HttpRequest) -> dict[str, Any]:
    """List the speech providers with their models, voices, formats and languages."""
    return describe_providers(conf.service())


@router.post("/speech/transcriptions", response={200: TranscriptionOut, **ERRORS}, openapi_extra=AUDIO_BODY)
async def transcribe(request: HttpRequest) -> Transcription:
    """Transcribe a recording: the field `file` of a form, or a body with an `audio/` content type."""
    check_enabled()
    requested = parse_transcription(request)
    call = CallLog(
        caller(request),
        SpeechRequest.Operation.TRANSCRIPTION,
        provider=requested.provider,
        model=requested.model,
        language=requested.language,
        format=requested.format,
    )
    await call.open()
    return await logged(call, transcribe_whole(call, requested))


@router.post("/speech/synthesis", response=ERRORS, openapi_extra=AUDIO_ANSWER)
async def synthesize(request: HttpRequest, body: SynthesisIn) -> HttpResponseBase:
    """Stream the text as audio. `X-Speech-...` headers name the provider, model and voice."""
    check_enabled()
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
    synthesis = await logged(
        call, conf.service().synthesize(SynthesisRequest(**body.dict(exclude=WITHOUT_EFFECT)), CallBudget(call.payer))
    )
    call.begin(synthesis)
    return AudioStream(synthesis, call)


@router.post(
    "/v1/audio/transcriptions", response={200: TranscriptionOut, **ERRORS}, openapi_extra=AUDIO_BODY, tags=["openai"]
)
async def create_transcription(request: HttpRequest) -> Transcription:
    """Transcribe a recording, for clients of OpenAI's API: the same as `/speech/transcriptions`."""
    return await transcribe(request)


@router.post("/v1/audio/speech", response=ERRORS, openapi_extra=AUDIO_ANSWER, tags=["openai"])
async def create_speech(request: HttpRequest, body: SynthesisIn) -> HttpResponseBase:
    """Stream a text as audio, for clients of OpenAI's API: the same as `/speech/synthesis`."""
    return await synthesize(request, body)
