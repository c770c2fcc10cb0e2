"""Commits whose reply was lost, and runs that exist only in the database."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chat.engine.model_port import Finished
from chat.models import Message, Run, RunEvent
from chat.providers.scripted import Scripted, text
from chat.runs.cluster import lease, maintenance
from chat.runs.log import frame_store, journal
from chat.runs.start import begin
from storage.writer import StorageUnavailable, writer
from tests.conftest import Api, Start
from tests.streams import events

STOP = Finished(reason="stop")


def lose_answers(monkeypatch: pytest.MonkeyPatch, to: Callable[..., Any], most: int) -> list[object]:
    """Make the writer commit these jobs and report a failure for the first ones; return those jobs."""
    submit = writer.submit
    lost: list[object] = []

    async def without_reply(job: Callable[[], Any]) -> Any:
        result = await submit(job)
        if isinstance(job, partial) and job.func is to and len(lost) < most:
            lost.append(job)
            raise StorageUnavailable("the connection was cut")
        return result

    monkeypatch.setattr(writer, "submit", lambda job: asyncio.ensure_future(without_reply(job)))
    return lost


async def test_run_whose_commit_replies_were_all_lost_is_complete_and_stored_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RETRY_SECONDS", 0.001)
    lost = lose_answers(monkeypatch, frame_store.save_batch, 100)

    async def until_kept() -> None:
        async with asyncio.timeout(10):
            while not lost:
                await asyncio.sleep(0.01)

    api = await start(Scripted([text("Hel"), until_kept, text("lo"), STOP]))
    answer = await api.ask(message="Hi")
    assert len(lost) > 1
    assert answer.text == "Hello"
    assert answer.one("end")["reason"] == "completed"
    assert await Message.objects.filter(role="assistant").acount() == 1
    kept = [bytes(row.frames) async for row in RunEvent.objects.order_by("first")]
    assert b"".join(kept) == answer.body
    assert (await Run.objects.aget()).status == "completed"


async def ended(api: Api, run_id: object) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (run := await api.get(f"/chat/runs/{run_id}"))["status"] == "running":
            await asyncio.sleep(0.01)
    return dict(run)


async def test_run_with_a_lost_insert_reply_is_ended_and_its_session_is_free(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LOOK_SECONDS", 0.01)
    api = await start(Scripted(*[[text("Hello"), STOP]] * 2))
    session = (await api.ask(message="Hi")).headers["X-Session-Id"]
    lose_answers(monkeypatch, begin.begin, 1)
    refused = await api.ask(message="Again", session_id=session)
    assert (refused.status, refused.json()["code"]) == (503, "storage")
    run = await Run.objects.alatest("id")
    assert (await ended(api, run.id))["status"] == "interrupted"
    log = (await api.call("GET", f"/chat/runs/{run.id}/stream")).body
    assert (events(log)[-1]["code"], events(log)[-1]["error"]) == ("interrupted", lease.LOST)
    assert (await api.ask(message="Again", session_id=session)).text == "Hello"


async def test_live_run_is_not_taken_for_a_lost_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "LOOK_SECONDS", 0.0)
    gate, looks = asyncio.Event(), 0
    look = maintenance._own

    def counted() -> Any:
        nonlocal looks
        looks += 1
        return look()

    monkeypatch.setattr(maintenance, "_own", counted)
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), STOP]))
    asking = asyncio.ensure_future(api.ask(message="Hi"))
    async with asyncio.timeout(10):
        while looks < 5:
            await asyncio.sleep(0.01)
    gate.set()
    assert (await asking).one("end")["reason"] == "completed"
