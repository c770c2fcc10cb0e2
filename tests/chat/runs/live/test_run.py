"""Runs that outlive their connections: following, stopping, and the one active run of a session.

Covers `chat.runs.live.outcome`, `chat.runs.live.recorder`, `chat.runs.live.spec`, `chat.runs.log.journals`,
`chat.runs.log.message_rows`, `chat.starting.candidates`, `chat.starting.factory`, `chat.starting.request`,
`chat.starting.starter`, `chat.starting.turns`.
"""

import asyncio
import logging
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from chat.engine.model_port import Finished, ProviderError
from chat.models import Message, Run, RunEvent
from chat.providers.scripted import Scripted, text
from chat.runs.cluster import lease
from storage.writer import StorageUnavailable, writer
from tests.conftest import Api, Start
from tests.streams import Answer, events, read_until

STOP = Finished(reason="stop")


async def until(condition: Any) -> None:
    """Wait for a condition that another task brings about."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def finished(api: Api, run_id: str) -> dict[str, Any]:
    """Return the run once it has ended."""
    async with asyncio.timeout(5):
        while (run := await api.get(f"/chat/runs/{run_id}"))["status"] == "running":
            await asyncio.sleep(0.01)
    return run


async def test_cancelled_run_keeps_partial_text_and_ends_the_stream(start: Start) -> None:
    api = await start(Scripted([text("Half"), asyncio.Event().wait, STOP]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b"Half")
        run_id = response.headers["X-Run-Id"]
        assert (await api.get(f"/chat/runs/{run_id}"))["text"] == "Half"
        cancelled = await api.call("POST", f"/chat/runs/{run_id}/cancel")
        assert cancelled.json() == {"id": run_id, "status": "cancelled"}
        received = events(got + await response.read())
    assert received[-1]["type"] == "end"
    assert received[-1]["reason"] == "cancelled"
    run = await api.get(f"/chat/runs/{run_id}")
    assert (run["status"], run["text"], run["usage"]["estimated"]) == ("cancelled", "Half", True)
    again = await api.call("POST", f"/chat/runs/{run_id}/cancel")
    assert again.json() == {"id": run_id, "status": "cancelled"}


async def test_next_turn_includes_the_text_of_a_cancelled_one(start: Start) -> None:
    model = Scripted([text("Half"), asyncio.Event().wait], [text("Whole"), STOP])
    api = await start(model)
    async with api.open({"message": "Hi"}) as response:
        await read_until(response, b"Half")
        session_id = response.headers["X-Session-Id"]
        await api.call("POST", f"/chat/runs/{response.headers['X-Run-Id']}/cancel")
    await api.ask(message="Go on", session_id=session_id)
    assert [message.text for message in model.requests[1].messages] == ["Hi", "Half", "Go on"]


async def test_unfollowed_run_is_cancelled_after_the_grace_period(start: Start, settings: Any) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 0.01
    api = await start(Scripted([text("Half"), asyncio.Event().wait]))
    async with api.open({"message": "Hi"}) as response:
        await read_until(response, b"Half")
        run_id = response.headers["X-Run-Id"]
    assert (await finished(api, run_id))["status"] == "cancelled"


async def test_follower_that_returns_within_the_grace_period_keeps_the_run(start: Start, settings: Any) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 3_600
    go = asyncio.Event()
    api = await start(Scripted([text("Half"), go.wait, text("Whole"), STOP]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b"Half")
        path = response.headers["Content-Location"]
    last = events(got)[-1]["id"]
    async with api.session.get(api.base_url + path, headers={"Last-Event-ID": str(last)}) as response:
        go.set()
        rest = await response.read()
    whole = Answer(200, {}, got + rest)
    assert whole.text == "HalfWhole"
    assert [event["id"] for event in whole.events] == list(range(1, len(whole.events) + 1))
    assert whole.one("end")["reason"] == "completed"


async def test_run_with_on_disconnect_continue_completes_without_followers(start: Start, settings: Any) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 0
    go = asyncio.Event()
    api = await start(Scripted([text("Half"), go.wait, text("Whole"), STOP]))
    async with api.open({"message": "Hi", "on_disconnect": "continue"}) as response:
        await read_until(response, b"Half")
        run_id = response.headers["X-Run-Id"]
    go.set()
    run = await finished(api, run_id)
    assert (run["status"], run["text"]) == ("completed", "HalfWhole")


async def test_followers_of_one_run_receive_the_same_bytes(start: Start) -> None:
    go = asyncio.Event()
    api = await start(Scripted([text("a", "b"), go.wait, text("c"), STOP]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b'"b"')
        path = response.headers["Content-Location"]
        others = [asyncio.create_task(api.call("GET", path)) for _ in range(20)]
        await until(lambda: api.service.runs.find(_id(path), "operator").subscribers.followers == 21)
        go.set()
        whole = got + await response.read()
    assert {answer.body for answer in await asyncio.gather(*others)} == {whole}


async def test_session_has_one_active_run(start: Start) -> None:
    go = asyncio.Event()
    api = await start(Scripted([text("Half"), go.wait, STOP], [text("Next"), STOP]))
    async with api.open({"message": "Hi"}) as response:
        await read_until(response, b"Half")
        session_id = response.headers["X-Session-Id"]
        busy = await api.ask(message="Me too", session_id=session_id)
        assert busy.status == 409
        assert busy.json()["code"] == "session_busy"
        assert busy.json()["detail"] == [{"run_id": response.headers["X-Run-Id"]}]
        deleted = await api.call("DELETE", f"/chat/sessions/{session_id}")
        assert (deleted.status, deleted.json()["code"]) == (409, "session_busy")
        go.set()
        await response.read()
    assert (await api.ask(message="Me too", session_id=session_id)).text == "Next"


async def test_fifty_concurrent_requests_to_one_session_start_one_run(start: Start) -> None:
    go = asyncio.Event()
    api = await start(Scripted([text("One"), STOP], [go.wait, text("Two"), STOP]))
    session_id = (await api.ask(message="Hi")).headers["X-Session-Id"]
    asked = [asyncio.create_task(api.ask(message="Hi", session_id=session_id)) for _ in range(50)]
    await until(lambda: sum(task.done() for task in asked) == 49)
    go.set()
    statuses = sorted(answer.status for answer in await asyncio.gather(*asked))
    assert statuses == [200] + [409] * 49


async def test_request_over_the_limit_of_active_runs_is_503(start: Start, settings: Any) -> None:
    settings.MAX_ACTIVE_RUNS = 1
    go = asyncio.Event()
    api = await start(Scripted([text("Half"), go.wait, STOP]))
    async with api.open({"message": "Hi"}) as response:
        await read_until(response, b"Half")
        refused = await api.ask(message="Me too")
        assert (refused.status, refused.json()["code"]) == (503, "too_many_runs")
        assert int(refused.headers["Retry-After"]) > 0
        go.set()
        await response.read()


async def test_silent_stream_sends_pings(start: Start, settings: Any) -> None:
    settings.HEARTBEAT_SECONDS = 0.05
    go = asyncio.Event()
    api = await start(Scripted([text("Half"), go.wait, STOP]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b": ping\n\n: ping\n\n")
        go.set()
        received = Answer(200, {}, got + await response.read())
    assert received.types() == ["start", "token", "usage", "end"]


async def test_stalled_reader_is_dropped_and_resumes_at_its_cursor(
    start: Start, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings.HEARTBEAT_SECONDS, settings.SLOW_READER_SECONDS = 0.05, 0.1
    long = "x" * 1_000
    api = await start(Scripted([*[text(long)] * 1_500, STOP]))
    host, port = api.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
    body = b'{"message": "Hi", "on_disconnect": "continue"}'
    writer.write(
        b"POST /chat/stream HTTP/1.1\r\nHost: %b:%b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (host.encode(), port.encode(), len(body), body)
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    run_id = head.split("x-run-id: ")[1].split("\r\n")[0]
    run = await finished(api, run_id)
    assert (run["status"], len(run["text"])) == ("completed", 1_500_000)
    await until(lambda: any(record.message == "request" and "/chat/stream" in record.path for record in caplog.records))
    writer.close()
    again = await api.call("GET", f"/chat/runs/{run_id}/stream")
    assert len(again.text) == 1_500_000
    assert not any(record.exc_info for record in caplog.records)


async def test_run_ends_at_its_time_limit(start: Start, settings: Any) -> None:
    settings.RUN_MAX_SECONDS = 0.05
    api = await start(Scripted([text("Half"), asyncio.Event().wait]))
    answer = await api.ask(message="Hi")
    assert answer.text == "Half"
    assert answer.one("end")["reason"] == "max_seconds"


async def test_closing_the_service_interrupts_its_runs_and_reports_it(start: Start) -> None:
    api = await start(Scripted([text("Half"), asyncio.Event().wait]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b"Half")
        run_id = response.headers["X-Run-Id"]
        await api.service.runs.close()
        received = events(got + await response.read())
    assert (received[-1]["type"], received[-1]["code"]) == ("error", "shutting_down")
    assert (await api.get(f"/chat/runs/{run_id}"))["status"] == "interrupted"
    refused = await api.ask(message="Hi")
    assert (refused.status, refused.json()["code"]) == (503, "shutting_down")


async def test_without_persistence_runs_live_only_in_memory(start: Start) -> None:
    api = await start(Scripted([text("Hello"), STOP]), stored=False)
    answer = await api.ask(message="Hi")
    assert answer.text == "Hello"
    assert answer.one("start")["session_id"] is None
    assert "X-Session-Id" not in answer.headers
    run = await api.get(f"/chat/runs/{answer.headers['X-Run-Id']}")
    assert (run["status"], run["text"]) == ("completed", "Hello")
    again = await api.call("GET", answer.headers["Content-Location"])
    assert again.body == answer.body
    assert (await api.get("/chat/sessions"))["count"] == 0
    refused = await api.ask(message="Hi", session_id="b0f5d6a8-6a0c-4b44-a9f9-5f1b1f1c2d3e")
    assert (refused.status, refused.json()["code"]) == (422, "not_stored")


@pytest.mark.parametrize("change", [{"title": "Renamed"}, {"metadata": {"a": 1}}, {}])
async def test_title_and_metadata_of_a_session_can_be_changed(start: Start, change: dict[str, Any]) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    session_id = (await api.ask(message="Hi")).headers["X-Session-Id"]
    answer = await api.call("PATCH", f"/chat/sessions/{session_id}", json=change)
    assert answer.status == 200
    assert answer.json().items() >= change.items()


async def test_deleted_session_is_404(start: Start) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    answer = await api.ask(message="Hi")
    session = f"/chat/sessions/{answer.headers['X-Session-Id']}"
    assert (await api.call("DELETE", session)).status == 204
    for path in (session, f"{session}/messages", answer.headers["Content-Location"]):
        assert (await api.call("GET", path)).status == 404
    assert (await api.call("DELETE", session)).status == 404


def _id(path: str) -> Any:
    return UUID(path.split("/")[3])


async def test_database_unavailable_at_the_start_is_used_once_it_returns(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    away = [StorageUnavailable("locked")]

    def end_dead(*, proven: bool) -> int:
        if away:
            raise away.pop()
        return 0

    monkeypatch.setattr("chat.runs.cluster.lease._end_dead", end_dead)
    refused = await api.ask(message="Hi")
    assert (refused.status, refused.json()["code"]) == (503, "storage")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await api.ask(message="Hi")).text == "Hello"


async def test_run_ended_by_another_process_ends_with_the_stored_error(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), STOP]))
    async with api.open({"message": "Hi"}) as response:
        got = await read_until(response, b"Hel")
        run = await Run.objects.aget()
        await writer.write(partial(lease._interrupt, run))
        gate.set()
        got += await response.read()
    last = events(got)[-1]
    assert (last["type"], last["code"]) == ("error", "interrupted")
    assert b'"completed"' not in got
    assert (await api.get(f"/chat/runs/{run.id}"))["status"] == "interrupted"
    assert not await Message.objects.filter(role="assistant").aexists()


@pytest.mark.parametrize("cursor", [0, 2, 99])
async def test_run_without_stored_frames_is_rebuilt(start: Start, cursor: int) -> None:
    answer = await (api := await start(Scripted([text("Hel", "lo"), STOP]))).ask(message="Hi")
    await RunEvent.objects.all().adelete()
    path = answer.headers["Content-Location"]
    again = await api.call("GET", path, headers={"Last-Event-ID": str(cursor)})
    assert [(event["id"], event["type"]) for event in again.events] == [(1, "start"), (2, "token"), (3, "end")]
    assert again.one("start")["rebuilt"] is True
    assert "rebuilt" not in answer.one("start")
    assert again.text == "Hello"
    assert {**again.one("end"), "id": 0} == {**answer.one("end"), "id": 0}


async def test_failed_run_without_stored_frames_is_rebuilt_with_its_error(start: Start) -> None:
    failing = ProviderError("It is down.", code="provider_rejected", retryable=False)
    answer = await (api := await start(Scripted([failing]))).ask(message="Hi")
    await RunEvent.objects.all().adelete()
    again = await api.call("GET", answer.headers["Content-Location"])
    assert {**again.one("error"), "id": 0} == {**answer.one("error"), "id": 0}
