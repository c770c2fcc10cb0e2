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
from chat.api.projections.answers import answered
from chat.api.projections.named_sessions import named_session
from chat.api.projections.stream import start_once, stream_of
from chat.api.run_responses import EventStream
from chat.api.schemas import CancelOut
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
        given = await answered(answers_of(last), who)
        if given is None:
            raise ApiError(422, "invalid_field", "messages: the last one has no answer to a call of this chat.")
        return _stream(given.run_id, session.id, who, given.cursor)
    parsed = request_of(body, who, session, service.tool_names if body.client_tools else ())
    return _stream(await start_once(parsed), session.id, who)


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
    stream = stream_of(run_id, who, UiMessageStream(run_id, str(session_id), cursor), cursor)
    stream["X-Session-Id"], stream[HEADER] = str(session_id), VERSION
    return stream
