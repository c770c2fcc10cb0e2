"""Entries exist if and only if their change was committed, in one order for all writers.

Covers `audit.apps`, `audit.chain`, `audit.conf`, `audit.records`, `audit.hashing`, `audit.snapshot`,
`storage.statement_batch`, `orchestrator_site.auditing.head_log`.
"""

import asyncio
import logging
import subprocess
import sys
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from audit import chain, hashing
from audit.chain import Change
from audit.models import AuditEntry
from audit.verification import SavedHead
from chat.models import Run, Session
from orchestrator_site import retention
from orchestrator_site.auditing.head_log import HeadLog
from storage import statement_batch
from storage.ids import new_id
from storage.writer import Writer
from tests.audit.history import ALICE, open_execution, outcome, problem, run_tool, verified
from tests.managing import managed, migrated_postgres
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.servers import Postgres
from tools.changes.log import ChangeStore
from tools.execution import rows
from tools.execution.rows import Status
from tools.models import ToolExecution
from tools.output.store import OutputStore

pytestmark = pytest.mark.django_db(transaction=True)


def kinds() -> list[str]:
    return list(AuditEntry.objects.order_by("number").values_list("kind", flat=True))


def test_entry_needs_the_transaction_that_it_records() -> None:
    with pytest.raises(transaction.TransactionManagementError, match="needs the transaction"):
        chain.record(Change(kind="run.deleted", subject="x"))
    assert kinds() == []


def test_rolled_back_change_leaves_neither_a_row_nor_an_entry() -> None:
    with transaction.atomic():
        open_execution()
        transaction.set_rollback(True)
    with suppress(KeyError), transaction.atomic(), statement_batch.collected():
        open_execution()
        raise KeyError
    assert kinds() == []
    run_tool()
    assert kinds() == ["execution.started", "execution.ended"]
    assert problem() == ""


def test_outcome_that_took_no_effect_is_not_recorded() -> None:
    execution_id = run_tool()
    with transaction.atomic(), statement_batch.collected():
        rows.close_execution(outcome(execution_id, code="cancelled"))
    assert kinds() == ["execution.started", "execution.ended"]
    assert problem() == ""


def test_execution_that_begins_and_ends_in_one_transaction_has_both_entries() -> None:
    with transaction.atomic(), statement_batch.collected():
        execution_id = open_execution()
        rows.close_execution(outcome(execution_id))
    assert kinds() == ["execution.started", "execution.ended"]
    assert problem() == ""


def test_without_persistence_there_is_no_chain(settings: Any) -> None:
    settings.ENABLE_PERSISTENCE = False
    run_tool()
    assert kinds() == []


async def test_failing_job_of_a_batch_takes_only_its_own_entry_with_it() -> None:
    writer = Writer()

    def fail() -> None:
        open_execution(owner="key:failing")
        raise KeyError

    try:
        jobs = [writer.submit(job) for job in (open_execution, fail, open_execution)]
        done = await asyncio.gather(*jobs, return_exceptions=True)
    finally:
        await asyncio.to_thread(writer.close)
    assert [isinstance(one, KeyError) for one in done] == [False, True, False]
    assert await asyncio.to_thread(kinds) == ["execution.started"] * 2
    assert await asyncio.to_thread(problem) == ""


async def test_writers_of_several_threads_make_one_chain_without_gaps() -> None:
    writers = [Writer() for _ in range(3)]
    try:
        await asyncio.gather(*(writer.write(open_execution) for writer in writers for _ in range(20)))
    finally:
        for writer in writers:
            await asyncio.to_thread(writer.close)
    found = await asyncio.to_thread(verified)
    assert (found.problem, found.entries) == (None, 60)


@pytest.mark.slow
def test_processes_make_one_chain_and_a_crash_leaves_it_valid(postgres: Postgres, tmp_path: Path) -> None:
    url = migrated_postgres(postgres)
    variables = environment(tmp_path, DATABASE_URL=url) | {"DJANGO_SETTINGS_MODULE": "orchestrator_site.settings"}
    program = "import django; django.setup(); from tests.audit import appending; appending.main()"
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=subprocess.PIPE)
            )
            for _ in range(2)
        ]
        for process in running:
            # Each is killed while the others write, at any point of a transaction.
            for _ in range(30):
                assert process.stdout
                assert process.stdout.readline() == b"recorded\n"
        for process in running:
            process.kill()
    ((count, last),) = postgres.query("SELECT count(*), max(number) FROM audit_entries", url=url)
    assert count == last >= 120
    assert "are as they were written" in managed(tmp_path, "verify_audit", DATABASE_URL=url)


@pytest.mark.parametrize("status", [Status.AWAITING_APPROVAL, Status.AWAITING_CLIENT])
def test_calls_that_wait_are_recorded_until_their_run_stops(status: Status) -> None:
    run_id = new_id()
    with transaction.atomic():
        open_execution(status, run_id=run_id)
    assert problem() == ""
    with transaction.atomic():
        rows.close_awaited(run_id)
    assert kinds()[-1] == "execution.ended"
    assert problem() == ""


def test_pruned_rows_have_entries_and_the_chain_stays_valid(tmp_path: Path) -> None:
    now = timezone.now()
    run_tool()
    session = Session.objects.create(id=new_id(), owner=ALICE, created=now, updated=now)
    Run.objects.create(id=new_id(), session=session, status="completed", created=now, ended=now)
    later = now + timedelta(days=1)
    ages = retention.Ages(rows=later, frames=later, strays=later)
    list(retention.prune(ages, OutputStore(tmp_path / "o", 1), ChangeStore(tmp_path / "c", 1)))
    assert kinds()[2:] == ["execution.deleted", "run.deleted", "session.deleted"]
    assert problem() == ""
    AuditEntry.objects.filter(kind="execution.deleted").delete()
    assert "gone" in problem()


def test_end_of_a_chain_that_was_cut_is_found_with_a_saved_head() -> None:
    for _ in range(2):
        run_tool()
    head = chain.head()
    saved = verified().head
    assert saved == head
    last = ToolExecution.objects.latest("created").pk
    # The record and all of its entries: what is left is a valid chain.
    ToolExecution.objects.filter(pk=last).delete()
    AuditEntry.objects.filter(number__gt=2).delete()
    assert problem() == ""
    found = verified(saved=SavedHead(number=head.number, hash=head.hash)).problem
    assert found is not None
    assert "the end of the chain was removed" in str(found)


def test_numbers_are_equal_in_both_databases() -> None:
    assert hashing.document("1e16") == hashing.document("10000000000000000") == hashing.document("1.0e16")
    assert hashing.document("-0.0") == hashing.document("0.0") == 0
    assert hashing.document("1e-7") == hashing.document("0.0000001")
    assert hashing.document("1e300") == 10**300
    assert hashing.document("1e9999999999") == "1e9999999999"
    assert hashing.document("[" * 100_000) == "[" * 100_000
    assert hashing.encoded(hashing.document('{"b":1,"a":2}')) == hashing.encoded(hashing.document('{"a": 2, "b": 1.0}'))


async def test_head_is_logged_at_an_interval_and_at_the_end(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    def heads() -> list[Any]:
        return [record for record in caplog.records if record.message == "audit.head"]

    await asyncio.to_thread(run_tool)
    settings.AUDIT_HEAD_SECONDS = 0.01
    log = HeadLog()
    with caplog.at_level(logging.INFO):
        log.start()
        async with asyncio.timeout(30):
            while not heads():
                await asyncio.sleep(0.01)
        await log.close()
        seen = len(heads())
        settings.AUDIT_HEAD_SECONDS = 0
        log.start()
        await log.close()
    assert len(heads()) == seen
    assert {(one.number, one.hash) for one in heads()} == {(2, (await asyncio.to_thread(chain.head)).hash)}
