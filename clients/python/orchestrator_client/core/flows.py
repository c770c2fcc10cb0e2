"""The decisions of both clients, without I/O: which requests are sent and sent again, and how answers are read.

A flow is a generator. It yields steps, which a client performs, and gets their results. A client throws `Cut` into it
if the connection broke. `Emit` passes a value to the caller.
"""

from http import HTTPStatus
from typing import Final, TypeVar

from orchestrator_client.core import answers, requests
from orchestrator_client.core.errors import ApiError, ConnectionLost
from orchestrator_client.core.events import LAST, ApprovalRequired, ClientToolCall, Event, Reconnecting
from orchestrator_client.core.questions import Handlers
from orchestrator_client.core.requests import Call, Request
from orchestrator_client.core.service import Service
from orchestrator_client.core.sse import EventReader
from orchestrator_client.core.steps import Cut, Emit, Fetch, Head, Invoke, Open, Receive, Steps, Wait
from orchestrator_client.core.values import Execution

Answer = TypeVar("Answer")

ATTEMPTS: Final = 8
"""Consecutive attempts to continue without receiving anything."""

OVER: Final = frozenset({"already_answered", "too_late", "not_waiting"})
"""Codes of an answer to a question that no longer waits. The events of the run show how it was answered."""


def call(service: Service, asked: Call[Answer]) -> Steps[None]:
    """Emit the answer to a request."""
    answer = yield from _answer(service, asked, persists=False)
    yield Emit(value=answer)


def follow(service: Service, opening: Request, handlers: Handlers, *, run_id: str = "", after: int = 0) -> Steps[None]:
    """Emit the events of a run, to its last one. A cut connection is continued behind the newest event."""
    reader, request, attempt = EventReader(after), opening, 0
    while True:
        seen = reader.last
        try:
            head: Head = yield Open(request=request)
            # The answer to the first attempt is the caller's to judge.
            if attempt > 0 and (later := answers.try_later(head)):
                raise later
            if head.status == HTTPStatus.NO_CONTENT:
                return
            if head.status != HTTPStatus.OK:
                raise (yield from _refusal(head))
            answers.check_type(service.url, head, requests.EVENT_STREAM)
            run_id = head.headers.get("x-run-id", run_id)
            if (yield from _read(service, reader, handlers)):
                return
            cut = Cut("the stream ended early", reached=True)
        except Cut as error:
            cut = error
        attempt = 1 if reader.last > seen else attempt + 1
        if attempt > ATTEMPTS or not (cut.reached or attempt > 1):
            raise _lost(service, cut, run_id, reader.last)
        seconds = service.wait(attempt, cut)
        yield Emit(value=Reconnecting(attempt=attempt, max_attempts=ATTEMPTS, seconds=seconds, why=str(cut)))
        yield Wait(seconds=seconds)
        # Without the id of the run, the same request with the same Idempotency-Key returns the same run.
        request = requests.follow(run_id, reader.last) if run_id else opening
        reader.reconnect()


def _read(service: Service, reader: EventReader, handlers: Handlers) -> Steps[bool]:
    """Emit the events of the open response, and return whether the last event of the run was one of them."""
    while piece := (yield Receive()):
        for event in reader.feed(piece):
            yield Emit(value=event)
            if isinstance(event, LAST):
                return True
            yield from _react(service, event, handlers)
    return False


def _react(service: Service, event: Event, handlers: Handlers) -> Steps[None]:
    """Answer a question of the run with the caller's functions."""
    answer: Call[Execution] | None = None
    # A stream may be a replay, in which a question was answered long ago.
    if isinstance(event, ClientToolCall) and (tool := handlers.functions.get(event.tool)):
        execution = yield from _answer(service, requests.execution(event.execution_id), persists=True)
        if execution.status == "awaiting_client":
            outcome = yield Invoke(function=tool.call_async if tool.is_async else tool.call, argument=event.params)
            answer = requests.result(event.execution_id, outcome)
    elif isinstance(event, ApprovalRequired) and handlers.decide:
        execution = yield from _answer(service, requests.execution(event.execution_id), persists=True)
        if execution.status == "awaiting_approval":
            approved = yield Invoke(function=handlers.decide, argument=execution)
            if not isinstance(approved, bool | None):
                raise TypeError(f"decide returned {type(approved).__name__}. Return True, False, or None for later.")
            if approved is not None:
                digest = execution.params_sha256
                answer = requests.decide(event.execution_id, digest, "", approved=approved)
    if answer is not None:
        try:
            yield from _answer(service, answer, persists=True)
        except ApiError as error:
            if error.code not in OVER:
                raise


def _answer(service: Service, asked: Call[Answer], *, persists: bool) -> Steps[Answer]:
    """Return the answer to a request, which is sent again if the connection is cut.

    With `persists`, it is also sent again if the service cannot be reached or is busy.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            head, body = yield Fetch(request=asked.request)
            if persists and (later := answers.try_later(head)):
                raise later
            return answers.decoded(service.url, asked, head, body)
        except Cut as error:
            cut = error
        if attempt == ATTEMPTS or not asked.repeatable or not (cut.reached or persists or attempt > 1):
            break
        yield Wait(seconds=service.wait(attempt, cut))
    raise _lost(service, cut, "", 0)


def _refusal(head: Head) -> Steps[ApiError]:
    """Read the body of the open response, and return the error in it."""
    body = b""
    while len(body) < answers.MAX_ERROR_BYTES and (piece := (yield Receive())):
        body += piece
    return answers.refusal(head, body)


def _lost(service: Service, cut: Cut, run_id: str, after: int) -> ConnectionLost:
    message = (
        f"The run {run_id} cannot be followed any more: {cut}." if run_id else f"Cannot reach {service.url}: {cut}."
    )
    return ConnectionLost(message, why=str(cut), run_id=run_id, after=after)
