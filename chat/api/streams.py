"""The answers of runs over HTTP: of a new run, or the stream of a run after a cursor."""

from collections.abc import AsyncIterator, Awaitable
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from access.caller import Caller
from chat import service_registry
from chat.api.errors import not_found
from chat.api.run_responses import EventStream, JsonAnswer
from chat.history import queries
from chat.history.rebuilt_log import rebuilt
from chat.runs.live.run import LiveRun
from chat.runs.start.idempotency import AlreadyBegun
from storage.reader import read
from web.errors import ApiError

MAX_CURSOR_DIGITS: Final = 10
MAX_UNSTORED: Final = 10_000
"""Events of another process's run that a reader can have although they are not stored yet, or never will be."""


async def answer_new(starting: Awaitable[LiveRun], caller: Caller, *, as_json: bool) -> EventStream | JsonAnswer:
    """Return the answer of a run that is started, or of the one that the same request began before."""
    try:
        run = await starting
    except AlreadyBegun as begun:
        run_id, session_id, hides = begun.run_id, None, not caller.scopes.may("reasoning")
    else:
        run_id, session_id, hides = run.spec.run_id, run.spec.start.session_id, False
    subscription = service_registry.current().follow(run_id, caller.owner, 0, hides_reasoning=hides)
    answer = JsonAnswer(run_id, caller.owner, subscription) if as_json else EventStream(subscription, run_id)
    if session_id is not None:
        answer["X-Session-Id"] = session_id
    return answer


async def stream_after(run_id: UUID, owner: str, cursor: int, *, hides_reasoning: bool) -> HttpResponse | EventStream:
    """Return the stream of a run after event number `cursor`, or 204 if everything was received.

    Raise `ApiError` and `StorageUnavailable`.
    """
    run = service_registry.current().runs.find(run_id, owner)
    if run is not None:
        if cursor > run.broadcast.last:
            raise _past_end(cursor, run.broadcast.last)
        if cursor == run.broadcast.last and run.broadcast.closed:
            return HttpResponse(status=204)
        stream = EventStream(
            service_registry.current().follow(run_id, owner, cursor, hides_reasoning=hides_reasoning), run_id
        )
        if run.spec.start.session_id is not None:
            stream["X-Session-Id"] = run.spec.start.session_id
        return stream
    log = await read(queries.log, run_id, owner)
    if log is None:
        raise not_found("run")
    if log.ended and log.last == 0:
        return EventStream(_once(await read(rebuilt, run_id, owner)), run_id)
    if log.interrupted and cursor > log.last:
        # The process died after it sent these frames and before it stored them. The reader only needs the end.
        cursor = log.last - 1
    elif cursor > log.last + (0 if log.ended else MAX_UNSTORED):
        raise _past_end(cursor, log.last)
    elif cursor == log.last and log.ended:
        return HttpResponse(status=204)
    return EventStream(
        service_registry.current().follow(run_id, owner, cursor, hides_reasoning=hides_reasoning), run_id
    )


def cursor_of(request: HttpRequest, after: int | None) -> int:
    """Return the cursor of the header `Last-Event-ID`, or else of the parameter `after`. Raise `ApiError` (422)."""
    header = request.headers.get("Last-Event-ID", "").strip()
    if not header:
        return after or 0
    # `int` accepts spaces, signs and underscores, and takes long for thousands of digits.
    if not header.isdecimal() or len(header) > MAX_CURSOR_DIGITS:
        raise ApiError(422, "invalid_cursor", "Last-Event-ID must be the number of an event, 0 or more.")
    return int(header)


def _past_end(cursor: int, last: int) -> ApiError:
    return ApiError(422, "invalid_cursor", f"The cursor {cursor} is past the run's last event, {last}.")


async def _once(frames: bytes) -> AsyncIterator[bytes]:
    yield frames
