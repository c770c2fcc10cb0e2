"""The rows of the demo's sessions: runs, messages and event logs."""

from datetime import timedelta
from typing import Any, Final

import msgspec

from access.models import ApiKey
from chat.demo.bookings import book
from chat.demo.execution_rows import APPROVAL, store_execution
from chat.demo.plan import PlannedExecution, PlannedMessage, PlannedRun, PlannedSession
from chat.engine.loop import Suspended
from chat.engine.tool_calls import Tally
from chat.models import Attachment, Message, Run, RunEvent, Session
from chat.runs.live.suspension import State
from chat.runs.log import usage_columns
from chat.wire import sse
from tools.base import ToolRequest

RUN_SECONDS: Final = 1_800.0
FRAMES_AT_ONCE: Final = 100
MILLISECOND: Final = timedelta(milliseconds=1)


def store_session(planned: PlannedSession, key: ApiKey) -> None:
    """Write a session with its runs."""
    waits = planned.runs[-1].status == Run.Status.WAITING
    row = Session(
        id=planned.id,
        owner=key.owner,
        user=planned.user,
        title=planned.title,
        active_run=planned.runs[-1].id if waits else None,
        archived=planned.archived,
        created=planned.runs[0].created,
        updated=planned.updated,
    )
    row.save(force_insert=True)
    ids: list[int] = []
    for run in planned.runs:
        _store_run(row, key, run, ids)


def _store_run(session: Session, key: ApiKey, planned: PlannedRun, ids: list[int]) -> None:
    waiting = next((one for one in planned.executions if one.ended is None), None)
    expires = None if waiting is None else waiting.created + APPROVAL
    row = Run(
        id=planned.id,
        session=session,
        key=key.pk,
        status=planned.status,
        reason=planned.reason,
        error=planned.error,
        retryable=planned.retryable,
        provider=planned.provider,
        model=planned.model,
        process="",
        options={"on_disconnect": "continue", **planned.options},
        suspended=_suspended(planned, waiting) if waiting else "",
        waits_until=expires,
        created=planned.created,
        started=planned.created,
        ended=planned.ended,
        **_columns(planned.usage),
    )
    row.save(force_insert=True)
    for message in planned.messages:
        _store_message(row, key, message, ids)
    for execution in planned.executions:
        store_execution(row, key, execution)
    answers = [message.created for message in planned.messages if message.usage is not None]
    if planned.ended is not None and answers:
        times = {
            "run_milliseconds": round((planned.ended - planned.created) / MILLISECOND),
            # The first token is about halfway to the end of the first answer.
            "first_token_milliseconds": round((answers[0] - planned.created) / MILLISECOND / 2),
        }
        book(key, planned.ended, 0, provider=row.provider, model=row.model, calls=0, runs=1, **times)
    frames = [sse.frame(number, event) for number, event in enumerate(planned.events, 1)]
    RunEvent.objects.bulk_create(
        RunEvent(run=row, first=first + 1, last=first + len(part), frames=b"".join(part), created=planned.created)
        for first in range(0, len(frames), FRAMES_AT_ONCE)
        for part in [frames[first : first + FRAMES_AT_ONCE]]
    )


def _store_message(run: Run, key: ApiKey, planned: PlannedMessage, ids: list[int]) -> None:
    is_model = planned.usage is not None
    parts = {"provider": run.provider, "model": run.model, "data": {}, "reasoning": planned.reasoning}
    first = ids[-planned.summarizes] if planned.summarizes else None
    row = Message(
        session_id=run.session_id,
        run=run,
        role=planned.role,
        content=planned.text,
        attachments=int(bool(planned.picture)),
        tool_calls=list(planned.calls) or None,
        call_id=planned.call_id,
        tool=planned.tool,
        is_error=planned.is_error,
        provider_parts=parts if planned.reasoning else None,
        # The user's newest message follows the summarized ones.
        summarizes=[[first, ids[-2]]] if first is not None and len(ids) > 1 else None,
        provider=run.provider if is_model else "",
        model=run.model if is_model else "",
        created=planned.created,
        **(_columns(planned.usage) if planned.usage else {}),
    )
    row.save(force_insert=True)
    ids.append(row.pk)
    if planned.picture:
        Attachment.objects.create(message=row, media_type="image/png", data=planned.picture)
    if planned.usage:
        used = planned.usage
        tokens: dict[str, Any] = {
            name: getattr(used, name) for name in ("input_tokens", "output_tokens", "cached_tokens")
        }
        reasoning = {"reasoning_tokens": used.reasoning_tokens, "estimated": used.estimated}
        about = {"provider": run.provider, "model": run.model, **tokens, **reasoning}
        book(key, planned.created, used.cost_usd, used.input_tokens + used.output_tokens, **about)


def _columns(usage: Any) -> dict[str, Any]:
    return dict(zip(usage_columns.NAMES, usage_columns.values(usage), strict=True))


def _suspended(run: PlannedRun, waiting: PlannedExecution) -> str:
    """Return the state of a run that waits, from which the service continues it after a decision."""
    arguments = msgspec.json.encode(waiting.params).decode()
    request = ToolRequest(tool=waiting.tool, arguments=arguments, source="model", call_id=waiting.call_id)
    suspended = Suspended(
        requests=(request,),
        execution_id=str(waiting.id),
        asks_model=True,
        steps=1,
        output_bytes=0,
        usage=run.usage,
        tally=Tally(calls=len(run.executions)),
    )
    return msgspec.json.encode(State(suspended=suspended, seconds_left=RUN_SECONDS)).decode()
