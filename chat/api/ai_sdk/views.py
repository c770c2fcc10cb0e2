"""The endpoints for `useChat`: send a message or answers, continue a stream after a reload, and stop."""

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Router

from access.auth import KeyAuth, caller
from access.caller import Caller
from chat import service_registry
from chat.api.ai_sdk.requests import answers_of, request_of
from chat.api.ai_sdk.schemas import ACTIVE_CHUNKS, CHUNKS, UiChatIn
from chat.api.answers import asked_at, give, run_of
from chat.api.named_sessions import named_session
from chat.api.projected import projected
from chat.api.run_responses import EventStream
from chat.api.schemas import CancelOut
from chat.runs.start.idempotency import AlreadyBegun
from chat.wire.ui_messages import HEADER, VERSION, UiMessageStream
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["ai-sdk"], auth=KeyAuth("chat"))

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)


@router.post("/ai/chat", response={**ERRORS, **errors(409, 413, 415)}, openapi_extra=CHUNKS)
async def send_chat(request: HttpRequest, body: UiChatIn) -> HttpResponseBase:
    """Answer the newest user's message of a chat, or continue the run that the newest answers are for.

    Of the messages only the last one is read: the service has the conversation.
    """
    service, who = service_registry.current(), caller(request)
    if not service.stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false stores no chats. Use /chat/stream.")
    session = await named_session(body.id, who)
    last = body.messages[-1]
    if last.role == "assistant" and body.trigger == "submit-message":
        answers = answers_of(last)
        run_id = await run_of(answers, who) if answers else None
        if run_id is None:
            raise ApiError(422, "invalid_field", "messages: the last one has no answer to a call of this chat.")
        cursor = await asked_at(run_id, answers)
        await give(run_id, answers, who)
        return _stream(run_id, session.id, who, cursor)
    parsed = request_of(body, who, session, service.tool_names if body.client_tools else ())
    try:
        run_id = (await service.start(parsed)).spec.run_id
    except AlreadyBegun as begun:
        run_id = begun.run_id
    return _stream(run_id, session.id, who)


@router.get("/ai/chat/{chat_id}/stream", response=ERRORS, openapi_extra=ACTIVE_CHUNKS)
async def follow_chat(request: HttpRequest, chat_id: str) -> HttpResponseBase:
    """Stream the active run of a chat from its beginning, for `useChat` with `resume`; 204 if there is none."""
    session = await named_session(chat_id, caller(request))
    if session.active_run is None:
        return HttpResponse(status=204)
    return _stream(session.active_run, session.id, caller(request))


@router.post("/ai/chat/{chat_id}/stop", response={200: CancelOut, **ERRORS})
async def stop_chat(request: HttpRequest, chat_id: str) -> dict[str, object]:
    """Stop the active run of a chat, and keep its output."""
    session = await named_session(chat_id, caller(request))
    if session.active_run is None:
        raise ApiError(404, "not_found", "The chat has no active run.")
    status = await service_registry.current().cancel(session.active_run, caller(request).owner)
    return {"id": session.active_run, "status": status}


def _stream(run_id: UUID, session_id: UUID, who: Caller, cursor: int = 0) -> EventStream:
    hides = not who.scopes.may("reasoning")
    subscription = service_registry.current().follow(run_id, who.owner, cursor, hides_reasoning=hides)
    chunks = UiMessageStream(run_id, str(session_id), cursor)
    stream = EventStream(projected(run_id, subscription, chunks), run_id)
    stream["X-Session-Id"], stream[HEADER] = str(session_id), VERSION
    return stream
