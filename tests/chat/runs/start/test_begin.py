"""Runs whose insert overlaps with the model call, and the outcome when the insert fails."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from pytest_django import Settings

from access.caller import LOCAL
from chat.engine.model_port import Finished
from chat.models import Message, Run, Session
from chat.providers.scripted import Scripted, text
from chat.runs.live import manager
from chat.runs.start import begin
from chat.runs.start.begin import RunStart
from chat.runs.start.idempotency import Key
from storage.writer import StorageUnavailable, Writer, writer
from tests.conftest import Start
from tests.streams import events, read_until

STOP = Finished(reason="stop")


@contextmanager
def locked() -> Iterator[None]:
    """Hold the write lock of the database."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def until_asked(model: Scripted, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(model.requests) < times:
            await asyncio.sleep(0.01)


@pytest.mark.sqlite
async def test_model_call_overlaps_the_insert_and_nothing_is_sent_before_the_commit(start: Start) -> None:
    released = asyncio.Event()
    model = Scripted([text("First"), STOP], [text("Hel"), released.wait, text("lo"), STOP])
    api = await start(model)
    await api.ask(message="Hi")
    with locked():
        asking = asyncio.ensure_future(api.ask(message="Hi"))
        await until_asked(model, 2)
        assert await Run.objects.acount() == 1
        assert not asking.done()
    released.set()
    answer = await asking
    assert answer.text == "Hello"
    assert [event["id"] for event in answer.events] == list(range(1, len(answer.events) + 1))
    run = answer.one("start")["run_id"]
    assert (await api.call("GET", f"/chat/runs/{run}/stream")).body == answer.body


@pytest.mark.sqlite
async def test_run_that_is_being_inserted_takes_one_slot(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "COUNT_MARGIN", -1)  # The runs of other processes are not counted.
    settings.MAX_ACTIVE_RUNS = 2
    model = Scripted([text("First"), STOP], [text("One"), STOP], [text("Two"), STOP])
    api = await start(model)
    await api.ask(message="Hi")
    with locked():
        asking = [asyncio.ensure_future(api.ask(message="Hi")) for _ in range(2)]
        await until_asked(model, 3)
        refused = await api.ask(message="Hi")
    assert (refused.status, refused.json()["code"]) == (503, "too_many_runs")
    assert sorted(answer.text for answer in await asyncio.gather(*asking)) == ["One", "Two"]


async def test_failed_insert_stops_the_model_and_sends_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted([text("Hel"), asyncio.Event().wait, text("lo"), STOP])
    api = await start(model)
    submit = writer.submit

    def away(job: Any) -> "asyncio.Future[Any]":
        if isinstance(job, partial) and job.func is begin.begin:
            return asyncio.ensure_future(fail())
        return submit(job)

    async def fail() -> None:
        await until_asked(model)
        raise StorageUnavailable("locked")

    monkeypatch.setattr(writer, "submit", away)
    answer = await api.ask(message="Hi")
    assert (answer.status, answer.json()["code"]) == (503, "storage")
    async with asyncio.timeout(10):
        while api.service.runs.active:
            await asyncio.sleep(0.01)
    for rows in (Session, Run, Message):
        assert not await rows.objects.aexists()


async def test_failing_database_prevents_the_model_call(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scripted([text("Hello"), STOP])
    api = await start(model)
    monkeypatch.setattr(Writer, "is_failing", property(lambda _: True, lambda *_: None), raising=False)
    write = writer.write

    async def away(job: Any) -> Any:
        if isinstance(job, partial) and job.func is begin.begin:
            raise StorageUnavailable("locked")
        return await write(job)

    monkeypatch.setattr(writer, "write", away)
    assert (await api.ask(message="Hi")).status == 503
    assert model.requests == []


@pytest.mark.sqlite
async def test_writer_reports_whether_the_database_fails(start: Start) -> None:
    await start()

    def fail() -> None:
        raise sqlite3.OperationalError("database is locked")

    def fail_by_the_database() -> None:
        with connection.wrap_database_errors:
            fail()

    with pytest.raises(StorageUnavailable):
        await writer.write(fail_by_the_database)
    assert writer.is_failing
    await writer.write(lambda: None)
    assert not writer.is_failing


def plain(**changes: Any) -> RunStart:
    given = {
        "run_id": uuid4(),
        "session_id": uuid4(),
        "new_session": True,
        "caller": LOCAL,
        "user": "",
        "message": None,
        "provider": "",
        "model": "",
        "options": {},
        "metadata": {},
        "start_frame": b"",
    }
    return RunStart(**{**given, **changes})


def test_run_that_stored_state_could_reject_may_not_start_early() -> None:
    assert plain().is_certain
    assert not plain(new_session=False).is_certain
    assert not plain(key=Key(key="k", body_sha256="0" * 64)).is_certain
    assert not plain(resumed_from=uuid4()).is_certain
    assert not plain(max_active_runs=3).is_certain


async def test_run_in_a_session_is_claimed_before_the_model_call(start: Start) -> None:
    waiting = asyncio.Event()
    model = Scripted([text("One"), STOP], [text("Two"), waiting.wait, STOP])
    api = await start(model)
    session = (await api.ask(message="1")).one("start")["session_id"]
    async with api.open({"message": "2", "session_id": session}) as response:
        got = await read_until(response, b"Two")
        refused = await api.ask(message="3", session_id=session)
        assert (refused.status, refused.json()["code"]) == (409, "session_busy")
        assert len(model.requests) == 2
        waiting.set()
        assert events(got + await response.read())[-1]["reason"] == "completed"
    assert await sync_to_async(Run.objects.count)() == 2
