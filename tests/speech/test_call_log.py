"""Rows of speech calls, and the closing of those whose process is gone."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from access.caller import LOCAL
from chat.models import Process
from chat.runs.cluster.lease import Lease
from kernel import process
from kernel.process import holder
from speech.call_log import MAX_CALL_AGE, CallLog, interrupt_calls, processes_at_work
from speech.models import SpeechRequest
from spending.models import Use
from storage.ids import new_id
from tests.servers import wait_until

NOW = timezone.now()
SYNTHESIS = SpeechRequest.Operation.SYNTHESIS
GONE = "another-machine:boot:1#5:7"
QUICK = 0.05
"""The length of a lease in seconds."""

pytestmark = pytest.mark.django_db(transaction=True)


def left(process: str | None, *, status: str = "running", age: timedelta = timedelta()) -> SpeechRequest:
    return SpeechRequest.objects.create(
        id=new_id(), owner="alice", operation=SYNTHESIS, status=status, process=process, created=NOW - age
    )


@pytest.fixture
async def lease() -> AsyncIterator[Lease]:
    """Open a lease, which makes this process look for dead ones."""
    opened = Lease(QUICK)
    await opened.open()
    yield opened
    await opened.close()


async def rounds(lease: Lease, row: SpeechRequest) -> None:
    """Run maintenance until the row is no longer open."""
    async with asyncio.timeout(10):
        while row.status == "running":
            await lease.keep()
            await asyncio.sleep(QUICK / 4)
            await row.arefresh_from_db()


def test_calls_of_other_processes_and_ended_calls_are_not_interrupted() -> None:
    rows = [left("at work"), left(None), *(left(GONE, status=each) for each in ("succeeded", "failed", "cancelled"))]
    before = [row.status for row in rows]
    assert interrupt_calls([], NOW) == 0
    assert interrupt_calls([GONE], NOW) == 0
    for row in rows:
        row.refresh_from_db()
    assert [row.status for row in rows] == before
    assert processes_at_work() == {"at work"}


def test_call_without_a_process_is_interrupted_once_it_exceeds_the_longest_call() -> None:
    young, old = (
        left(None, age=MAX_CALL_AGE - timedelta(minutes=1)),
        left(None, age=MAX_CALL_AGE + timedelta(minutes=1)),
    )
    assert interrupt_calls([], NOW) == 1
    young.refresh_from_db()
    old.refresh_from_db()
    assert (young.status, old.status) == ("running", "interrupted")


async def test_call_of_a_process_with_a_lease_stays_open(lease: Lease) -> None:
    await Process.objects.acreate(name=GONE, renewed=timezone.now() + timedelta(hours=1), lease_seconds=10)
    living, dead = await sync_to_async(left)(GONE), await sync_to_async(left)("without#1:2")
    own = await sync_to_async(left)(process.name())
    await rounds(lease, dead)
    await living.arefresh_from_db()
    await own.arefresh_from_db()
    assert (living.status, own.status) == ("running", "running")


async def test_call_of_a_process_without_a_lease_is_interrupted_with_a_reason(lease: Lease) -> None:
    row = await sync_to_async(left)(GONE)
    await rounds(lease, row)
    assert (row.status, row.code, row.process) == ("interrupted", "interrupted", GONE)
    assert row.error == "The process stopped before the end. The cost stays booked on the budgets."
    assert row.ended is not None
    assert (row.cost_usd, row.duration_ms) == (None, None)


async def test_call_names_its_process_while_that_has_a_lease() -> None:
    named = []
    lease = Lease(QUICK)
    for change in (None, lease.open, lease.close):
        if change is not None:
            await change()
        call = CallLog(LOCAL, SYNTHESIS)
        await call.open()
        named.append((await SpeechRequest.objects.alatest("id")).process)
        await call.cancel()
    assert named == [None, process.name(), None]
    assert holder.name is None


async def test_lease_is_renewed_while_the_event_loop_is_busy(lease: Lease) -> None:
    def wait_for_renewal() -> None:
        try:
            renewed = Process.objects.get().renewed
            wait_until(lambda: Process.objects.get().renewed > renewed)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as others:
        # The result is waited for without a return to the event loop.
        others.submit(wait_for_renewal).result()


async def test_real_end_of_a_call_overwrites_its_interruption() -> None:
    call = CallLog(LOCAL, SYNTHESIS)
    await call.open()
    await sync_to_async(interrupt_calls)([], timezone.now() + 2 * MAX_CALL_AGE)
    assert (await SpeechRequest.objects.aget()).status == "interrupted"
    await call.succeed()
    row = await SpeechRequest.objects.aget()
    assert (row.status, row.error, row.code) == ("succeeded", "", "")


async def test_call_is_counted_even_if_its_row_is_gone() -> None:
    call = CallLog(LOCAL, SYNTHESIS, provider="openai", model="tts-1")
    await call.open()
    await SpeechRequest.objects.all().adelete()
    call._row.cost_usd = SpeechRequest._meta.get_field("cost_usd").to_python("0.015")
    await call.succeed()
    used = await Use.objects.aget()
    assert (used.calls, used.cost) == (1, 15_000_000)
    assert (await SpeechRequest.objects.aget()).status == "succeeded"
