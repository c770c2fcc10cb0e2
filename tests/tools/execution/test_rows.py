"""The rows of executions outside of runs: which process runs them, and their end if that is gone."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from kernel.process import holder
from tests.audit.history import open_execution, outcome, problem
from tools.execution import rows
from tools.execution.rows import MAX_CALL_AGE, Status, interrupt_calls, processes_at_work
from tools.models import ToolExecution

GONE = "another-machine:boot:1#5:7"

pytestmark = pytest.mark.django_db(transaction=True)


def status_of(execution_id: UUID) -> str:
    return ToolExecution.objects.get(id=execution_id).status


@transaction.atomic
def interrupted(*processes: str) -> int:
    return interrupt_calls(processes, timezone.now())


@transaction.atomic
def opened(monkeypatch: pytest.MonkeyPatch, process: str | None, status: Status = Status.RUNNING) -> UUID:
    monkeypatch.setattr(holder, "name", process)
    return open_execution(status)


def test_only_running_calls_of_gone_processes_are_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    living, lost = opened(monkeypatch, "alive"), opened(monkeypatch, GONE)
    waiting, ended = opened(monkeypatch, GONE, Status.AWAITING_APPROVAL), opened(monkeypatch, GONE)
    with transaction.atomic():
        rows.close_execution(outcome(ended))
    assert processes_at_work() == {"alive", GONE}
    assert interrupted() == 0
    assert interrupted(GONE) == 1
    assert [status_of(each) for each in (living, lost, waiting, ended)] == [
        Status.RUNNING, Status.INTERRUPTED, Status.AWAITING_APPROVAL, Status.SUCCEEDED
    ]  # fmt: skip
    row = ToolExecution.objects.get(id=lost)
    assert (row.code, row.error, row.ended is None) == ("interrupted", rows.UNKNOWN_OUTCOME, False)
    assert problem() == ""


def test_call_without_a_process_is_interrupted_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    young, old = opened(monkeypatch, None), opened(monkeypatch, None)
    ToolExecution.objects.filter(id=old).update(created=timezone.now() - MAX_CALL_AGE - timedelta(minutes=1))
    assert interrupted() == 1
    assert (status_of(young), status_of(old)) == (Status.RUNNING, Status.INTERRUPTED)


def test_call_of_a_run_names_no_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "name", GONE)
    with transaction.atomic():
        of_run = open_execution(run_id=UUID(int=7))
    assert processes_at_work() == set()
    assert interrupted(GONE) == 0
    assert status_of(of_run) == Status.RUNNING
