"""A short event log of a run whose stored frames were deleted, rebuilt from its messages and its end.

The numbers begin at 1. The text and the last event are the original ones.
"""

from uuid import UUID

from chat.engine.events import End, Error, Event, Start, Token, TotalUsage
from chat.history import queries
from chat.models import Run
from chat.wire import sse


def rebuilt(run_id: UUID, owner: str) -> bytes:
    """Return the frames of a run's short log; nothing if there is no such run, or it is still open."""
    run = queries.run(run_id, owner)
    if run is None or run["ended"] is None:
        return b""
    session_id = str(run["session_id"])
    events: list[Event] = [
        Start(run_id=str(run_id), session_id=session_id, provider=run["provider"], model=run["model"], rebuilt=True)
    ]
    if run["text"]:
        events.append(Token(token=run["text"]))
    if run["status"] in {Run.Status.COMPLETED, Run.Status.CANCELLED}:
        counts = {name: value or 0 for name, value in run["usage"].items() if name.endswith("_tokens")}
        usage = TotalUsage(cost_usd=run["cost_usd"], estimated=run["usage"]["estimated"], **counts)
        events.append(End(reason=run["reason"], run_id=str(run_id), session_id=session_id, usage=usage))
    else:
        events.append(Error(error=run["error"] or "", code=run["reason"], retryable=run["retryable"]))
    return b"".join(sse.frame(number, event) for number, event in enumerate(events, 1))
