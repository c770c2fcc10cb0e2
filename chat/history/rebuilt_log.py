"""A run whose stored frames are gone, told again out of what is kept for good: its messages and its end.

The numbers begin at 1, whatever a reader had before; the text and the last event are those that were.
"""

from typing import Any
from uuid import UUID

from chat.engine.events import End, Error, Event, Start, Token, TotalUsage
from chat.history import queries
from chat.models import Run
from chat.wire import sse


def rebuilt(run_id: UUID, owner: str) -> bytes:
    """The run's events in short; nothing where there is no such run, or it is still open."""
    told = queries.run(run_id, owner)
    if told is None or told["ended"] is None:
        return b""
    session_id = str(told["session_id"])
    start = Start(
        run_id=str(run_id), session_id=session_id, provider=told["provider"], model=told["model"], rebuilt=True
    )
    events: list[Event] = [start]
    if told["text"]:
        events.append(Token(token=told["text"]))
    events.append(_terminal(told, session_id))
    return b"".join(sse.frame(number, event) for number, event in enumerate(events, 1))


def _terminal(told: dict[str, Any], session_id: str) -> Event:
    if told["status"] in {Run.Status.COMPLETED, Run.Status.CANCELLED}:
        counts = {name: value or 0 for name, value in told["usage"].items() if name.endswith("_tokens")}
        usage = TotalUsage(cost_usd=told["cost_usd"], estimated=told["usage"]["estimated"], **counts)
        return End(reason=told["reason"], run_id=str(told["id"]), session_id=session_id, usage=usage)
    return Error(error=told["error"] or "", code=told["reason"], retryable=told["retryable"])
