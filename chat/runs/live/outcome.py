"""How a run ends: by what, what its followers are told, and what is written of it."""

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
"""What stops a run from outside of its turn."""

SHUTTING_DOWN: Final = Error(
    error="The service is shutting down; what was produced is kept.", code="shutting_down", retryable=True
)
LOST: Final = Error(error=NOT_OWNER, code="interrupted", retryable=True)
NOT_KEPT: Final = Error(error="The database did not take the run's events.", code="storage", retryable=True)
INTERNAL: Final = Error(
    error="The run failed by a fault of the service; the service's log says more.", code="internal", retryable=False
)

FAILURES: Final[Mapping[Stop, Error]] = {"shutting_down": SHUTTING_DOWN, "storage": NOT_KEPT, "lost": LOST}
"""What a stop is told as that nobody asked for."""

_end_run = Update(
    Run,
    names=("status", "reason", "error", "retryable", "provider", "model", "ended", *usage_columns.NAMES),
    where=("id", "status"),
)
_free_session = Update(Session, names=("active_run",), where=("id", "active_run"))


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run has ended."""

    run_id: UUID
    session_id: UUID
    status: Run.Status
    reason: str
    error: str
    retryable: bool
    provider: str
    model: str
    usage: TotalUsage

    def logged(self, seconds: float) -> dict[str, Any]:
        """The fields of its line in the log; it took so many seconds."""
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
    run_id: UUID, session_id: UUID, terminal: Terminal, *, wrote: tuple[str, str], usage: TotalUsage
) -> Ending:
    """What the run's last event says of it. `wrote` names provider and model, `usage` is that until a failure."""
    provider, model = wrote
    return Ending(
        run_id=run_id,
        session_id=session_id,
        status=_status(terminal),
        reason=terminal.reason if isinstance(terminal, End) else terminal.code,
        error="" if isinstance(terminal, End) else terminal.error,
        retryable=isinstance(terminal, Error) and terminal.retryable,
        provider=provider,
        model=model,
        usage=terminal.usage if isinstance(terminal, End) else usage,
    )


def stop_of(error: StorageUnavailable) -> Stop:
    """What a run is stopped by whose events cannot be kept."""
    return "lost" if isinstance(error, NotOwner) else "storage"


def finish(ending: Ending) -> None:
    """Ends the run, if it is still open, and frees its session. Sync, a part of one transaction of the writer."""
    why = (ending.status, ending.reason, ending.error, ending.retryable)
    told = (*why, ending.provider, ending.model, timezone.now())
    _end_run.later((*told, *usage_columns.values(ending.usage)), (ending.run_id, Run.Status.RUNNING))
    _free_session.later((None,), (ending.session_id, ending.run_id))


def _status(terminal: Terminal) -> Run.Status:
    if isinstance(terminal, End):
        return Run.Status.CANCELLED if terminal.reason == "cancelled" else Run.Status.COMPLETED
    return Run.Status.INTERRUPTED if terminal.code in {"shutting_down", "interrupted"} else Run.Status.FAILED
