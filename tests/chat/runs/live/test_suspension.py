"""Runs that wait for an approval, over a real socket.

Covers `tools.approvals.api`.
"""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from chat import service_registry
from chat.engine.model_port import Finished, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from chat.service import Service
from tests.conftest import Api, Start, registry_of
from tests.streams import Answer, events
from tools.approvals import decisions
from tools.models import ToolExecution
from tools.resources import workspaces

CALLS = Finished(reason="tool_calls")
STOP = Finished(reason="stop")
POLICY = "ask fs.write source=model"


def write(path: str, number: int = 1) -> ToolCall:
    return ToolCall(call_id=f"c{number}", name="fs.write", arguments=f'{{"path": "{path}", "content": "done"}}')


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return f"approvals/{request.node.name}.txt"


def is_written(path: str) -> bool:
    return (workspaces().root.base / path).exists()


class Following:
    """A stream that is read as it arrives."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.body = b""

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the first event of a type."""
        async with asyncio.timeout(10):
            while not (found := [event for event in self.events() if event["type"] == kind]):
                chunk = await self.response.content.readany()
                assert chunk, f"the stream ended without {kind}: {self.body!r}"
                self.body += chunk
        return found[0]

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            self.body += await self.response.content.read()
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        return events(self.body[: self.body.rfind(b"\n\n") + 2])


async def decide(api: Api, waits: dict[str, Any], verdict: str = "approve", **body: Any) -> Answer:
    given = {"params_sha256": waits["params_sha256"], **body}
    return await api.call("POST", f"/tools/executions/{waits['execution_id']}/{verdict}", json=given)


async def parked(run_id: str, api: Api | None = None) -> None:
    """Wait until the run waits in the database, and the process of the service has let it go."""
    async with asyncio.timeout(10):
        while not await Run.objects.filter(id=run_id, status="waiting").aexists():
            await asyncio.sleep(0.01)
        while api is not None and api.service.runs.active:
            await asyncio.sleep(0.01)


def types(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in found if event["type"] not in {"token", "usage"}]


async def test_approved_call_runs_and_the_same_stream_continues(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Done."), STOP]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        run_id = (await stream.until("start"))["run_id"]
        await parked(run_id, api)
        assert not is_written(path)
        assert (await api.get(f"/chat/runs/{run_id}"))["status"] == "waiting"
        assert (await decide(api, waits)).status == 200
        found = await stream.rest()
    assert types(found) == ["start", "tool_call", "approval_required", "approval_resolved", "tool_result", "end"]
    assert [event["id"] for event in found] == list(range(1, len(found) + 1))
    assert found[-1]["reason"] == "completed"
    assert is_written(path)
    replayed = await api.call("GET", f"/chat/runs/{run_id}/stream")
    assert replayed.body == stream.body
    execution = await api.get(f"/tools/executions/{waits['execution_id']}")
    assert (execution["status"], execution["decision"], execution["decided_by"]) == (
        "succeeded",
        "approved",
        "operator",
    )


@pytest.mark.parametrize(
    ("tool", "params", "code"),
    [
        ("terminal.exec", {"command": "rm -rf /"}, "not_allowed"),
        ("terminal.exec", {"command": "ls", "cwd": "nowhere"}, "not_found"),
        ("fs.write", {"path": "../outside.txt", "content": "a"}, "outside_workspace"),
        ("fs.write", {"path": ".env", "content": "a"}, "not_allowed"),
        ("fs.apply_patch", {"patch": "--- a/nowhere.txt\n+++ b/nowhere.txt\n@@ -1 +1 @@\n-a\n+b\n"}, "not_found"),
    ],
)
async def test_no_approval_is_asked_for_a_call_that_can_only_fail(
    start: Start, tool: str, params: dict[str, Any], code: str
) -> None:
    called = ToolCall(call_id="1", name=tool, arguments=json.dumps(params))
    api = await start(Scripted([called, CALLS], [text("I see."), STOP]), policy="ask *")
    answer = await api.ask(message="try")
    assert "approval_required" not in answer.types()
    assert answer.one("tool_error")["code"] == code
    assert answer.one("end")["reason"] == "completed"
    assert (await ToolExecution.objects.aget()).code == code


async def test_json_answer_ends_with_the_approval_and_is_read_again_to_the_end(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Done."), STOP]), policy=POLICY)
    question: dict[str, Any] = {"json": {"message": "write", "stream": False}, "headers": {"Idempotency-Key": "one"}}
    waiting = (await api.call("POST", "/chat/stream", **question)).json()
    assert (waiting["status"], waiting["approval"]["tool"]) == ("waiting", "fs.write")
    await parked(waiting["id"])
    assert (await decide(api, waiting["approval"])).status == 200
    done = (await api.call("POST", "/chat/stream", **question)).json()
    assert (done["id"], done["status"], done["text"], done["approval"]) == (waiting["id"], "completed", "Done.", None)


async def test_waiting_approval_is_counted_and_its_question_and_decision_are_logged(
    start: Start, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api = await start(Scripted([write(path), CALLS], [text("No."), STOP]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        metrics = (await api.call("GET", "/metrics")).body.decode()
        await decide(api, waits, "deny")
        await stream.rest()
    assert "\norchestrator_approvals_waiting 1.0\n" in metrics
    lines = {record.message: vars(record) for record in caplog.records if record.message.startswith("approval.")}
    run_id = response.headers["X-Run-Id"]
    for line in lines.values():
        assert (line["execution"], line["tool"], line["run"]) == (waits["execution_id"], "fs.write", run_id)
    assert (lines["approval.decided"]["decision"], lines["approval.decided"]["by"]) == ("denied", "operator")
    assert set(lines) == {"approval.asked", "approval.decided"}


async def test_denied_call_does_not_run_and_the_model_reads_the_reason(start: Start, path: str) -> None:
    model = Scripted([write(path), CALLS], [text("As you wish."), STOP])
    api = await start(model, policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        await decide(api, await stream.until("approval_required"), "deny", note="Not on a Sunday.")
        found = await stream.rest()
    assert [event["code"] for event in found if event["type"] == "tool_error"] == ["denied"]
    assert "Not on a Sunday." in str(model.requests[1].messages[-1])
    assert not is_written(path)
    assert (await ToolExecution.objects.aget()).status == "denied"


async def test_approval_expires_and_the_run_continues(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Then not."), STOP]), policy=POLICY, approval_seconds=0.2)
    answer = await api.ask(message="write")
    assert answer.one("approval_resolved")["decision"] == "expired"
    assert answer.one("tool_error")["code"] == "denied"
    assert answer.text == "Then not."
    assert not is_written(path)


async def test_waiting_run_survives_a_restart_and_resumes_in_another_service(start: Start, path: str) -> None:
    first = await start(Scripted([text("I will. "), write(path), CALLS]), policy=POLICY)
    async with first.open({"message": "write"}) as response:
        waits = await Following(response).until("approval_required")
        run_id = response.headers["X-Run-Id"]
        await parked(run_id)
    await first.service.close()
    second = Service(providers=registry_of(Scripted([text("Done."), STOP])), tools=first.tools, stored=True)
    service_registry.use(second)
    await second.open()
    before = await first.get(f"/chat/runs/{run_id}")
    assert (before["status"], before["text"]) == ("waiting", "I will. ")
    await decide(first, waits)
    answer = await first.call("GET", f"/chat/runs/{run_id}/stream")
    assert [event["id"] for event in answer.events] == list(range(1, len(answer.events) + 1))
    assert answer.text == "I will. Done."
    assert answer.events[-1]["reason"] == "completed"
    assert is_written(path)
    after = await first.get(f"/chat/runs/{run_id}")
    assert (after["status"], after["text"]) == ("completed", "I will. Done.")
    await second.close()


async def test_calls_after_a_waiting_one_run_after_it(start: Start, path: str) -> None:
    calls = [write(path), ToolCall(call_id="c2", name="fs.read", arguments=f'{{"path": "{path}"}}'), CALLS]
    model = Scripted(calls, [text("Both."), STOP])
    api = await start(model, policy=POLICY)
    async with api.open({"message": "write and read"}) as response:
        stream = Following(response)
        await decide(api, await stream.until("approval_required"))
        found = await stream.rest()
    assert [event["tool"] for event in found if event["type"] == "tool_result"] == ["fs.write", "fs.read"]
    assert [message.call_id for message in model.requests[1].messages[-2:]] == ["c1", "c2"]


async def test_caller_call_waits_if_the_policy_asks(start: Start, path: str) -> None:
    api = await start(policy="ask fs.write")
    call = {"name": "fs.write", "params": {"path": path, "content": "x"}}
    async with api.open({"tool_calls": [call]}) as response:
        stream = Following(response)
        await decide(api, await stream.until("approval_required"))
        found = await stream.rest()
    assert types(found)[-2:] == ["tool_result", "end"]
    assert is_written(path)


async def test_waiting_run_can_be_cancelled(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        run_id = response.headers["X-Run-Id"]
        assert (await api.call("POST", f"/chat/runs/{run_id}/cancel")).json()["status"] == "cancelled"
        found = await stream.rest()
    assert types(found)[-3:] == ["approval_resolved", "tool_error", "end"]
    assert found[-1]["reason"] == "cancelled"
    assert (await decide(api, waits)).status == 409
    assert (await ToolExecution.objects.aget()).status == "cancelled"
    assert not is_written(path)
    assert (await api.ask(message="again", session_id=response.headers["X-Session-Id"])).status == 200


async def test_waiting_session_accepts_no_second_run(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        await Following(response).until("approval_required")
        await parked(response.headers["X-Run-Id"])
        session = response.headers["X-Session-Id"]
        assert (await api.ask(message="now?", session_id=session)).status == 409
        assert (await api.call("DELETE", f"/chat/sessions/{session}")).status == 409


async def test_decision_is_bound_to_the_params_and_made_once(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Done."), STOP]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        other = await decide(api, {**waits, "params_sha256": "0" * 64})
        assert (other.status, other.json()["code"]) == (409, "params_mismatch")
        assert (await decide(api, {**waits, "params_sha256": "short"})).status == 422
        assert not is_written(path)
        assert (await decide(api, waits)).status == 200
        await stream.rest()
        assert (await decide(api, waits)).status == 200
        assert (await decide(api, waits, "deny")).json()["code"] == "not_waiting"


async def test_approval_does_not_override_a_policy_that_denies_since(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Well."), STOP]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        await parked(response.headers["X-Run-Id"])
        denying = (await start(Scripted([text("Well."), STOP]), policy="deny fs.write")).service
        service_registry.use(denying)
        await denying.open()
        await api.service.close()
        assert (await decide(api, waits)).status == 200
        answer = await api.call("GET", f"/chat/runs/{response.headers['X-Run-Id']}/stream")
    assert answer.one("tool_error")["code"] == "denied"
    assert not is_written(path)


async def test_decision_of_another_process_resumes_the_run(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("Done."), STOP]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        stream = Following(response)
        waits = await stream.until("approval_required")
        decide_as_command = transaction.atomic(decisions.decide)
        await asyncio.to_thread(
            decide_as_command, waits["execution_id"], "approved", by="command line", params_sha256=None
        )
        found = await stream.rest()
    assert types(found)[-2:] == ["tool_result", "end"]


async def test_without_persistence_a_call_that_needs_approval_is_denied(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS], [text("No."), STOP]), policy=POLICY, stored=False)
    answer = await api.ask(message="write")
    assert answer.one("tool_error")["code"] == "denied"
    assert "ENABLE_PERSISTENCE" in answer.one("tool_error")["error"]
    assert not is_written(path)


async def test_late_approval_is_rejected(start: Start, path: str) -> None:
    api = await start(Scripted([write(path), CALLS]), policy=POLICY)
    async with api.open({"message": "write"}) as response:
        waits = await Following(response).until("approval_required")
        await parked(response.headers["X-Run-Id"])
        api.service.member.stop_maintenance()
        past = timezone.now() - timedelta(seconds=1)
        await ToolExecution.objects.aupdate(expires=past)
        late = await decide(api, waits)
        assert (late.status, late.json()["code"]) == (409, "not_waiting")
