"""The whole answer of a run, collected from its events."""

from typing import Any

import msgspec

from orchestrator_client.core.errors import ConnectionLost, RunFailed
from orchestrator_client.core.events import End, Error, Event, Reconnecting, Start, Token, TotalUsage


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a run that has ended. `reason` is `completed`, `cancelled` or the limit that it reached.

    `output` is the value of a structured answer. `events` has every event of the run.
    """

    text: str
    reason: str
    run_id: str
    session_id: str | None
    provider: str | None
    model: str | None
    usage: TotalUsage
    output: Any
    warning: str | None
    events: tuple[Event, ...]


class Collector:
    """Collects the events of one run."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def add(self, item: Event | Reconnecting) -> None:
        if isinstance(item, Start):
            # A rebuilt log begins again.
            self._events.clear()
        if not isinstance(item, Reconnecting):
            self._events.append(item)

    def answer(self) -> Answer:
        """Return the answer. Raise `RunFailed` if the run ended with an error."""
        first, last = (self._events[0], self._events[-1]) if self._events else (None, None)
        text = "".join(event.token for event in self._events if isinstance(event, Token))
        start = first if isinstance(first, Start) else Start(run_id="", session_id=None, provider=None, model=None)
        if isinstance(last, Error):
            raise RunFailed(last, run_id=start.run_id, text=text)
        if not isinstance(last, End):
            raise ConnectionLost(
                "The run has no more events, and no last one.", why="no last event", run_id=start.run_id
            )
        return Answer(
            text=text,
            reason=last.reason,
            run_id=last.run_id,
            session_id=last.session_id,
            provider=start.provider,
            model=start.model,
            usage=last.usage,
            output=last.output,
            warning=last.warning,
            events=tuple(self._events),
        )
