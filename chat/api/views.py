"""The chat API: starting, following and stopping runs, and the sessions that they belong to."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api import run_access
from chat.api.errors import not_found, session_busy
from chat.api.parsing import parse_request
from chat.api.provider_listing import described
from chat.api.schemas import (
    STREAM_RESPONSE,
    CancelOut,
    ChatIn,
    MessageList,
    ProviderList,
    RunOut,
    SessionList,
    SessionOut,
    SessionPatch,
)
from chat.api.sse_response import EventStream
from chat.history import queries
from chat.history.rebuilt_log import rebuilt
from chat.runs.live.run import LiveRun
from chat.runs.start.idempotency import AlreadyBegun
from storage.reader import read
from storage.writer import writer
from web.errors import ApiError
from web.schemas import LIMIT, OFFSET, errors

CHAT: Final = KeyAuth("chat")
READ: Final = KeyAuth("chat", "audit")

router = Router(tags=["chat"], auth=CHAT)

MAX_CURSOR_DIGITS: Final = 10
MAX_UNKEPT: Final = 10_000
"""Events of another process's run that a reader can have, and that are not kept yet or never will be."""
CURSOR: Final[Any] = params.Query(None, ge=0, le=2**31)

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
STREAM_ERRORS: Final = ERRORS | errors(409, 413, 415)
STREAM: Final = {"responses": {200: STREAM_RESPONSE}}
RESUMABLE: Final = {"responses": {200: STREAM_RESPONSE, 204: {"description": "The run is over and all was received."}}}


@router.post("/chat/stream", response=STREAM_ERRORS, openapi_extra=STREAM)
async def stream(request: HttpRequest, body: ChatIn) -> HttpResponse | EventStream:
    """Starts a run and streams its events; the connection only follows the run."""
    try:
        run = await service_registry.current().start(
            await parse_request(caller(request), body, request.headers.get("Idempotency-Key", ""))
        )
    except AlreadyBegun as again:
        return _following(again.run_id, caller(request).owner)
    return _followed(run, cursor=0)


@router.post("/chat/runs/{uuid:run_id}/resume", response=STREAM_ERRORS, openapi_extra=STREAM)
async def resume(request: HttpRequest, run_id: UUID) -> HttpResponse | EventStream:
    """Starts a new run that goes on from an interrupted one's last durable step, and streams it.

    A second resume of the same run follows the same new one.
    """
    if not service_registry.current().stored:
        raise ApiError(409, "not_resumable", "With ENABLE_PERSISTENCE=false nothing is kept to go on from.")
    owner = caller(request).owner
    try:
        run = await service_registry.current().resume(run_id, caller(request))
    except AlreadyBegun as again:
        return _following(again.run_id, owner)
    return _followed(run, cursor=0)


@router.get("/chat/runs/{uuid:run_id}/stream", response=ERRORS, openapi_extra=RESUMABLE, auth=READ)
async def follow(request: HttpRequest, run_id: UUID, after: int | None = CURSOR) -> HttpResponse | EventStream:
    """Follows a run from behind an event: the `Last-Event-ID` header, or `after`; live, or long finished."""
    cursor = _cursor(request, after)
    owner = await run_access.owner_of(run_id, caller(request))
    run = service_registry.current().runs.find(run_id, owner)
    if run is not None:
        return _followed_on(run, cursor)
    log = await read(queries.log, run_id, owner)
    if log is None:
        raise not_found("run")
    if log.ended and log.last == 0:
        return EventStream(_one(await read(rebuilt, run_id, owner)), run_id)
    if log.interrupted and cursor > log.last:
        cursor = log.last - 1  # frames that were sent but not kept: the reader gets the end alone
    elif cursor > log.last + (0 if log.ended else MAX_UNKEPT):
        raise _past_end(cursor, log.last)
    elif cursor == log.last and log.ended:
        return HttpResponse(status=204)
    return EventStream(service_registry.current().follow(run_id, owner, cursor), run_id)


@router.get("/chat/runs/{uuid:run_id}", response={200: RunOut, **ERRORS}, auth=READ)
async def get_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """A run: its status, its text so far, its usage and cost."""
    owner = await run_access.owner_of(run_id, caller(request))
    live = service_registry.current().runs.find(run_id, owner)
    if live is not None:
        return live.snapshot()
    return _found(await read(queries.run, run_id, owner), "run")


@router.post("/chat/runs/{uuid:run_id}/cancel", response={200: CancelOut, **ERRORS})
async def cancel(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Stops a run; what was produced is kept. Safe to call again, and after the end."""
    owner = caller(request).owner
    status = await service_registry.current().cancel(run_id, owner)
    if status is None:
        raise not_found("run")
    return {"id": run_id, "status": status}


@router.get("/chat/sessions", response={200: SessionList, **ERRORS}, auth=READ)
async def list_sessions(request: HttpRequest, limit: int = LIMIT, offset: int = OFFSET) -> dict[str, Any]:
    """The caller's sessions (with the scope audit everybody's), the most recently used first."""
    return await read(queries.sessions, caller(request).reads, limit, offset)


@router.get("/chat/sessions/{uuid:session_id}", response={200: SessionOut, **ERRORS}, auth=READ)
async def get_session(request: HttpRequest, session_id: UUID) -> dict[str, Any]:
    return _found(await read(queries.session, session_id, caller(request).reads), "session")


@router.get("/chat/sessions/{uuid:session_id}/messages", response={200: MessageList, **ERRORS}, auth=READ)
async def list_messages(
    request: HttpRequest, session_id: UUID, limit: int = LIMIT, offset: int = OFFSET
) -> dict[str, Any]:
    """What was said in a session, the oldest first."""
    return _found(await read(queries.messages, session_id, caller(request).reads, limit, offset), "session")


@router.patch("/chat/sessions/{uuid:session_id}", response={200: SessionOut, **ERRORS, **errors(409, 415)})
async def change_session(request: HttpRequest, session_id: UUID, body: SessionPatch) -> dict[str, Any]:
    """Changes a session's title or metadata."""
    owner, changes = caller(request).owner, body.model_dump(exclude_unset=True, exclude_none=True)
    return _found(await writer.write(lambda: queries.change_session(session_id, owner, changes)), "session")


@router.delete("/chat/sessions/{uuid:session_id}", response={204: None, **ERRORS, **errors(409)})
async def delete_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Deletes a session with its messages, runs and events; its tool executions stay as the record that they are."""
    owner = caller(request).owner
    gone = await writer.write(lambda: queries.delete_session(session_id, owner))
    if isinstance(gone, UUID):
        raise session_busy(gone)
    if not gone:
        raise not_found("session")
    return HttpResponse(status=204)


@router.get("/providers", response={200: ProviderList, **ERRORS}, tags=["providers"], auth=KeyAuth())
async def list_providers(request: HttpRequest) -> dict[str, Any]:
    """The providers of models: which are configured, and what they can do."""
    items = await described(service_registry.current().providers)
    return {"items": items, "count": len(items)}


def _cursor(request: HttpRequest, after: int | None) -> int:
    header = request.headers.get("Last-Event-ID", "").strip()
    if not header:
        return after or 0
    if not header.isdecimal() or len(header) > MAX_CURSOR_DIGITS:
        raise ApiError(422, "invalid_cursor", "Last-Event-ID must be the number of an event, 0 or more.")
    return int(header)


def _past_end(cursor: int, last: int) -> ApiError:
    return ApiError(422, "invalid_cursor", f"The cursor {cursor} is past the run's last event, {last}.")


def _followed_on(run: LiveRun, cursor: int) -> HttpResponse | EventStream:
    if cursor > run.broadcast.last:
        raise _past_end(cursor, run.broadcast.last)
    if cursor == run.broadcast.last and run.broadcast.closed:
        return HttpResponse(status=204)
    return _followed(run, cursor)


async def _one(frames: bytes) -> AsyncIterator[bytes]:
    yield frames


def _following(run_id: UUID, owner: str) -> EventStream:
    """What was begun before, from its beginning, wherever it is."""
    return EventStream(service_registry.current().follow(run_id, owner, 0), run_id)


def _followed(run: LiveRun, cursor: int) -> EventStream:
    follower = service_registry.current().follow(run.spec.run_id, run.spec.owner, cursor)
    response = EventStream(follower, run.spec.run_id)
    if run.spec.start.session_id is not None:
        response["X-Session-Id"] = run.spec.start.session_id
    return response


def _found(what: dict[str, Any] | None, name: str) -> dict[str, Any]:
    if what is None:
        raise not_found(name)
    return what
