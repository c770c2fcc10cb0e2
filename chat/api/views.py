"""The endpoints of runs, and the list of providers."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api.errors import found, not_found
from chat.api.parsing import parse_request
from chat.api.provider_listing import provider_items
from chat.api.request_schemas import ChatIn
from chat.api.run_access import owner_of, run_fields
from chat.api.run_responses import wants_json
from chat.api.schemas import (
    EVENTS_OR_JSON,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    STREAM_RESPONSE,
    AnswerOut,
    CancelOut,
    ProviderList,
    RunOut,
)
from chat.api.streams import answer_new, cursor_of, stream_after
from web.errors import ApiError
from web.schemas import errors

CHAT: Final = KeyAuth("chat")
READ: Final = KeyAuth("chat", "audit")

router = Router(tags=["chat"], auth=CHAT)

CURSOR: Final[Any] = params.Query(
    None, ge=0, le=2**31, description="The number of the last event that was received. If omitted, all events follow."
)

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
STREAM_ERRORS: Final = ERRORS | errors(409, 413, 415)
STREAM: Final = {"responses": {200: STREAM_RESPONSE | {"description": EVENTS_OR_JSON}}}
NEW: Final = {**STREAM, "parameters": [IDEMPOTENCY_KEY]}
RESUMABLE: Final = {
    "parameters": [LAST_EVENT_ID],
    "responses": {200: STREAM_RESPONSE, 204: {"description": "The run is over and all was received."}},
}


@router.post("/chat/stream", response={200: AnswerOut, **STREAM_ERRORS}, openapi_extra=NEW)
async def start_run(request: HttpRequest, body: ChatIn) -> HttpResponseBase:
    """Start a run and stream its events. Closing the connection only stops following the run.

    With `"stream": false`, or an `Accept` header that names only JSON, the answer is one JSON object at the run's end.
    """
    parsed = await parse_request(caller(request), body, request.headers.get("Idempotency-Key", ""))
    as_json = wants_json(request, body.stream)
    return await answer_new(service_registry.current().start(parsed), caller(request), as_json=as_json)


@router.post("/chat/runs/{uuid:run_id}/resume", response={200: AnswerOut, **STREAM_ERRORS}, openapi_extra=STREAM)
async def resume_run(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Start a new run that continues an interrupted one from its last stored step, and stream it.

    A second request for the same run follows the same new run.
    """
    if not service_registry.current().stored:
        raise ApiError(409, "not_resumable", "ENABLE_PERSISTENCE=false stores nothing from which a run can continue.")
    starting = service_registry.current().resume(run_id, caller(request))
    return await answer_new(starting, caller(request), as_json=wants_json(request, None))


@router.get("/chat/runs/{uuid:run_id}/stream", response=ERRORS, openapi_extra=RESUMABLE, auth=READ)
async def follow_run(request: HttpRequest, run_id: UUID, after: int | None = CURSOR) -> HttpResponseBase:
    """Follow a live or finished run after an event: the `Last-Event-ID` header, or `after`."""
    cursor = cursor_of(request, after)
    owner = await owner_of(run_id, caller(request))
    return await stream_after(run_id, owner, cursor, hides_reasoning=not caller(request).scopes.may("reasoning"))


@router.get("/chat/runs/{uuid:run_id}", response={200: RunOut, **ERRORS}, auth=READ)
async def get_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Return a run: its status, its text so far, its usage and its cost."""
    owner = await owner_of(run_id, caller(request))
    return found(await run_fields(run_id, owner), "run")


@router.post("/chat/runs/{uuid:run_id}/cancel", response={200: CancelOut, **ERRORS})
async def cancel_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Stop a run and keep its output. Calling this again, or after the end, is safe."""
    owner = caller(request).owner
    status = await service_registry.current().cancel(run_id, owner)
    if status is None:
        raise not_found("run")
    return {"id": run_id, "status": status}


@router.post(
    "/chat/sessions/{uuid:session_id}/compact", response={200: AnswerOut, **STREAM_ERRORS}, openapi_extra=STREAM
)
async def compact_session(request: HttpRequest, session_id: UUID) -> HttpResponseBase:
    """Summarise the older messages of a session for its next turns, as a run of its own, and stream it.

    The messages stay. If there is nothing to summarise, the run's `end` event has a `warning` that says so.
    """
    if not service_registry.current().stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false stores no sessions, so there is none to compact.")
    starting = service_registry.current().compact(session_id, caller(request))
    return await answer_new(starting, caller(request), as_json=wants_json(request, None))


@router.get("/providers", response={200: ProviderList, **ERRORS}, tags=["providers"], auth=KeyAuth())
async def list_providers(request: HttpRequest) -> dict[str, Any]:
    """List the providers of models: which are configured, and what they support."""
    items = await provider_items(service_registry.current().providers)
    return {"items": items, "count": len(items)}
