"""Runs whose process is gone: they are closed as interrupted, and never run again by themselves."""

from typing import Final

from django.utils import timezone

from chat.engine.events import Error
from chat.models import Run, RunEvent, Session
from chat.runs import process, store
from chat.wire import sse
from tools.record import interrupt_executions

MESSAGE: Final = "The process that ran this was stopped; what was produced until then is kept."


def close_orphans() -> int:
    """Closes the runs of dead processes, and returns how many there were. Part of a transaction."""
    open_runs = Run.objects.filter(status=Run.Status.RUNNING).only("id", "session_id", "process")
    orphans = [run for run in open_runs if process.is_dead(run.process)]
    for run in orphans:
        _interrupt(run)
    return len(orphans)


def _interrupt(run: Run) -> None:
    now = timezone.now()
    last = RunEvent.objects.filter(run=run).order_by("-first").values_list("last", flat=True).first() or 0
    terminal = Error(error=MESSAGE, code="interrupted", retryable=True, durable_to=last)
    store.keep_frames([store.Frames(run.id, last + 1, last + 1, sse.frame(last + 1, terminal))])
    Run.objects.filter(id=run.id).update(status=Run.Status.INTERRUPTED, reason="interrupted", error=MESSAGE, ended=now)
    Session.objects.filter(id=run.session_id, active_run=run.id).update(active_run=None)
    interrupt_executions(run.id, now)
