"""The outcome of a run: its cause, the last event, and the rows that record it."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.engine.events import End, Error, Terminal, TotalUsage
from chat.models import Run, Session
from chat.runs.log import usage_columns
from chat.runs.log.frame_store import NOT_OWNER, NotOwner
from storage.statements import Update
from storage.writer import StorageUnavailable

Stop = Literal["cancelled", "max_seconds", "shutting_down", "storage", "lost"]
"""The reasons to stop a run from outside its turn."""

SHUTTING_DOWN: Final = Error(
    error="The service is shutting down; the output so far is stored.", code="shutting_down", retryable=True
)
LOST: Final = Error(error=NOT_OWNER, code="interrupted", retryable=True)
NOT_STORED: Final = Error(error="The database did not store the run's events.", code="storage", retryable=True)
INTERNAL: Final = Error(
    error="The run failed because of a fault in the service; see the service's log.", code="internal", retryable=False
)

FAILURES: Final[Mapping[Stop, Error]] = {"shutting_down": SHUTTING_DOWN, "storage": NOT_STORED, "lost": LOST}
"""The last event of a run that the service stopped for a reason of its own."""

_end_run = Update(
    Run,
    names=("status", "reason", "error", "retryable", "provider", "model", "ended", *usage_columns.NAMES),
    where=("id", "status"),
)
_free_session = Update(Session, names=("active_run",), where=("id", "active_run"))


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run, as its row and its line in the log record it."""

    run_id: UUID
    session_id: UUID
    status: Run.Status
    reason: str
    error: str
    retryable: bool
    provider: str
    model: str
    usage: TotalUsage

    def log_fields(self, seconds: float) -> dict[str, Any]:
        """Return the fields of the run's line in the log. The run took `seconds`."""
        return {
            "run_id": str(self.run_id),
            "session_id": str(self.session_id),
            "status": self.status,
            "reason": self.reason,
            "provider": self.provider,
            "model": self.model,
            "seconds": round(seconds, 3),
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }


def ending_of(
    run_id: UUID, session_id: UUID, terminal: Terminal, *, answered_by: tuple[str, str], usage: TotalUsage
) -> Ending:
    """Return the ending that the run's last event describes.

    `answered_by` names the provider and the model; `usage` is the usage up to a failure.
    """
    provider, model = answered_by
    if isinstance(terminal, End):
        status = Run.Status.CANCELLED if terminal.reason == "cancelled" else Run.Status.COMPLETED
    else:
        interrupted = terminal.code in {"shutting_down", "interrupted"}
        status = Run.Status.INTERRUPTED if interrupted else Run.Status.FAILED
    return Ending(
        run_id=run_id,
        session_id=session_id,
        status=status,
        reason=terminal.reason if isinstance(terminal, End) else terminal.code,
        error="" if isinstance(terminal, End) else terminal.error,
        retryable=isinstance(terminal, Error) and terminal.retryable,
        provider=provider,
        model=model,
        usage=terminal.usage if isinstance(terminal, End) else usage,
    )


def stop_of(error: StorageUnavailable) -> Stop:
    """Return the reason to stop a run whose events could not be stored."""
    return "lost" if isinstance(error, NotOwner) else "storage"


def finish(ending: Ending) -> None:
    """End the run if it is still open, and free its session. Sync, part of a transaction of the writer."""
    values = (
        ending.status,
        ending.reason,
        ending.error,
        ending.retryable,
        ending.provider,
        ending.model,
        timezone.now(),
        *usage_columns.values(ending.usage),
    )
    # Both updates are conditional: a process that took over may have ended the run, and begun the session's next one.
    _end_run.later(values, (ending.run_id, Run.Status.RUNNING))
    _free_session.later((None,), (ending.session_id, ending.run_id))
