"""The endpoints of AG-UI: run an agent, and continue a stream that was cut."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api.ag_ui.requests import answers_of, request_of
from chat.api.ag_ui.schemas import EVENTS, RunAgentInput
from chat.api.errors import not_found
from chat.api.projections.answers import answered
from chat.api.projections.named_sessions import named_session
from chat.api.projections.stream import start_once, stream_of
from chat.api.schemas import LAST_EVENT_ID
from chat.api.streams import cursor_of
from chat.history import queries
from chat.wire.ag_ui import AgUiStream
from storage.reader import read
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["ag-ui"], auth=KeyAuth("chat"))

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
THREAD: Final[Any] = params.Query("", max_length=200, description="The `threadId` of the events.")
RUN: Final[Any] = params.Query("", max_length=200, description="The `runId` of the events.")
RESUMED: Final = {
    "parameters": [LAST_EVENT_ID],
    "responses": {**EVENTS["responses"], 204: {"description": "The run is over and all was received."}},
}


@router.post("/ag-ui", response={**ERRORS, **errors(409, 413, 415)}, openapi_extra=EVENTS)
async def run_agent(request: HttpRequest, body: RunAgentInput) -> HttpResponseBase:
    """Run the agent in a thread, or continue the run that the answers of the input are for."""
    service, who = service_registry.current(), caller(request)
    if not service.stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false stores no threads. Use /chat/stream.")
    session = await named_session(body.thread_id, who)
    given = await answered(answers_of(body), who)
    if given is not None:
        events = AgUiStream(given.run_id, body.thread_id, body.run_id, cursor=given.cursor)
        return stream_of(given.run_id, who, events, given.cursor)
    if body.resume:
        raise ApiError(422, "invalid_field", "resume: no run waits for these answers.")
    run_id = await start_once(request_of(body, who, session, service.tool_names if body.tools else ()))
    return stream_of(run_id, who, AgUiStream(run_id, body.thread_id, body.run_id))


@router.get("/ag-ui/{uuid:run_id}/stream", response=ERRORS, openapi_extra=RESUMED)
async def follow_agent(request: HttpRequest, run_id: UUID, thread: str = THREAD, run: str = RUN) -> HttpResponseBase:
    """Continue a stream of AG-UI behind the event in the header `Last-Event-ID`. `run_id` is `X-Run-Id` of its start.

    The events have the ids of the client if it gives them again.
    """
    who, cursor = caller(request), cursor_of(request, None)
    log = await read(queries.log, run_id, who.owner) if service_registry.current().stored else None
    if log is None:
        raise not_found("run")
    if log.ended and cursor >= log.last > 0:
        return HttpResponse(status=204)
    return stream_of(run_id, who, AgUiStream(run_id, thread or str(run_id), run or str(run_id), after=cursor))
