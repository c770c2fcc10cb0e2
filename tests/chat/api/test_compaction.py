"""Compaction of stored sessions: on request, and by summaries that later turns start from.

Covers `chat.history.messages`, `chat.runs.log.message_rows`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from access.limits.budgets import budgets
from chat.engine.context.window import answered
from chat.engine.messages import UserMessage
from chat.engine.model_port import CompletionRequest, Finished, ProviderError, TokensUsed, ToolCall
from chat.models import Run
from chat.pricing.price_list import price_list
from chat.providers.scripted import Line, Scripted, text
from spending.models import Account, Reservation
from tests.chat.engine.compaction.test_compactor import SUMMARY, Working
from tests.conftest import Api, Start
from tests.streams import Answer
from tools.resources import workspaces

STOP = Finished(reason="stop")
LONG = "x" * 600
DONE: Sequence[Line] = [text("Done."), TokensUsed(input_tokens=9, output_tokens=1), STOP]


async def compact(api: Api, session: str, **options: Any) -> Answer:
    return await api.call("POST", f"/chat/sessions/{session}/compact", **options)


async def stored(api: Api, session: str) -> list[dict[str, Any]]:
    found = await api.get(f"/chat/sessions/{session}/messages?limit=200")
    items: list[dict[str, Any]] = found["items"]
    return items


async def talked(api: Api, turns: int) -> str:
    """Return the id of a session with so many turns."""
    session: dict[str, str] = {}
    for _ in range(turns):
        answer = await api.ask(message=LONG, tools=[], **session)
        session = {"session_id": answer.headers["X-Session-Id"]}
    return session["session_id"]


async def test_compaction_is_refused_for_no_session_a_busy_one_and_a_wrong_method(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, STOP], context=8_000))
    assert (await compact(api, "01a204bc-0f3c-7e55-8f10-6b1d2a9c3e47")).json()["code"] == "not_found"
    assert (await compact(api, "none")).status == 404
    async with api.open({"message": "Hi"}) as response:
        session = response.headers["X-Session-Id"]
        busy = await compact(api, session)
        assert (busy.status, busy.json()["code"]) == (409, "session_busy")
        assert busy.json()["detail"] == [{"run_id": response.headers["X-Run-Id"]}]
        gate.set()
        await response.read()
    assert (await api.call("GET", f"/chat/sessions/{session}/compact")).status == 405


async def test_nothing_to_compact_and_a_failed_summary_are_clear_answers(start: Start) -> None:
    api = await start(Scripted(DONE, DONE, [ProviderError("No.", code="provider_rejected", retryable=False)]))
    session = await talked(api, 1)
    nothing = await compact(api, session)
    assert nothing.types() == ["start", "end"]
    assert "no older messages" in nothing.one("end")["warning"]
    await api.ask(message="More", session_id=session)
    failed = (await compact(api, session, headers={"Accept": "application/json"})).json()
    assert (failed["status"], failed["reason"], failed["compaction"]) == ("failed", "provider_rejected", None)
    assert [message["role"] for message in await stored(api, session)] == ["user", "assistant"] * 2
    assert (await api.get(f"/chat/sessions/{session}"))["active_run"] is None


async def test_compaction_on_request_is_a_run_whose_summary_the_next_turn_starts_from(start: Start) -> None:
    model = Scripted(DONE, DONE, DONE, SUMMARY, DONE)
    api = await start(model)
    session = await talked(api, 3)
    before = await stored(api, session)
    run = (await compact(api, session, headers={"Accept": "application/json"})).json()
    assert (run["status"], run["reason"], run["text"], run["warning"]) == ("completed", "completed", "", None)
    assert run["usage"]["input_tokens"] == 900
    assert run["compaction"]["summarized"] == 4
    assert run["compaction"]["after"] < run["compaction"]["before"]
    assert model.requests[3].tools == ()
    *rows, summary = await stored(api, session)
    assert rows == before, "stored messages stay as they are"
    assert (summary["role"], summary["content"], summary["run_id"]) == ("summary", "They read files.", run["id"])
    assert summary["summarizes"] == [[rows[0]["id"], rows[3]["id"]]]
    assert (summary["model"], summary["usage"]["output_tokens"]) == ("scripted-1", 5)
    replayed = await api.call("GET", f"/chat/runs/{run['id']}/stream")
    assert replayed.types() == ["start", "usage", "compaction", "end"]
    await api.ask(message="And?", session_id=session)
    record, *others = model.requests[4].messages
    assert "> They read files." in str(record)
    assert [message.text for message in others if isinstance(message, UserMessage)] == [LONG, "And?"]


async def test_interrupted_compaction_is_resumed_as_a_compaction(start: Start) -> None:
    api = await start(Scripted(DONE, DONE, [ProviderError("No.", code="provider_rejected", retryable=False)], SUMMARY))
    session = await talked(api, 2)
    run = (await compact(api, session)).headers["X-Run-Id"]
    await Run.objects.filter(id=run).aupdate(status=Run.Status.INTERRUPTED)
    resumed = await api.call("POST", f"/chat/runs/{run}/resume")
    assert resumed.types() == ["start", "usage", "compaction", "end"]


@pytest.fixture
def prices(settings: Any) -> Any:
    settings.MODEL_PRICES = price_list("scripted-1:1000,1000")
    settings.RUN_MAX_OUTPUT_TOKENS = 4_000
    return settings


async def test_summary_on_request_is_refused_by_a_budget_or_booked_on_it(start: Start, prices: Any) -> None:
    session = await talked(await start(Scripted(DONE, DONE)), 2)
    prices.BUDGETS = budgets("100tokens")
    api = await start(Scripted(context=8_000))
    assert (await compact(api, session)).one("end")["reason"] == "budget_exceeded"
    prices.BUDGETS = budgets("9000tokens")
    api = await start(Scripted(SUMMARY, context=8_000))
    assert (await compact(api, session)).one("end")["reason"] == "completed"
    assert [(row.spent, row.reserved) async for row in Account.objects.all()] == [(905, 0)]
    assert not await Reservation.objects.aexists()


class Reading(Working):
    """A model that reads a long file in each step."""

    def __init__(self, steps: int, **options: Any) -> None:
        super().__init__(steps, **options)
        arguments = '{"path": "long.txt"}'
        calls = [ToolCall(call_id=f"c{number}", name="fs.read", arguments=arguments) for number in range(steps)]
        self._answers = [[call, Finished(reason="tool_calls")] for call in calls] + [list(DONE), list(DONE)]
        self._context = 8_000


def is_summary(request: CompletionRequest) -> bool:
    return request.instructions.startswith("You keep the record")


async def test_next_turn_starts_from_the_stored_summary_of_a_long_loop_and_asks_for_none(
    start: Start, settings: Any
) -> None:
    settings.RUN_MAX_STEPS = settings.RUN_MAX_TOOL_CALLS = 100
    (workspaces().root.base / "long.txt").write_text("line\n" * 400)
    model = Reading(50)
    api = await start(model)
    first = await api.ask(message="Read it", tools=["fs.read"])
    session = first.headers["X-Session-Id"]
    compactions = [event for event in first.events if event["type"] == "compaction"]
    assert first.one("end")["reason"] == "completed"
    assert any(event["summarized"] for event in compactions)
    assert all(event["after"] < event["before"] for event in compactions)
    rows = await stored(api, session)
    assert [row["role"] for row in rows if row["role"] != "summary"] == [
        "user",
        *["assistant", "tool"] * 50,
        "assistant",
    ]
    newest = [row for row in rows if row["role"] == "summary"][-1]
    covered = {row["id"] for row in rows for start, end in newest["summarizes"] if start <= row["id"] <= end}
    assert rows[0]["id"] not in covered, "the question stays"
    assert {row["id"] for row in rows if row["role"] == "summary"} - covered == {newest["id"]}
    asked = len(model.summaries)
    await api.ask(message="And?", session_id=session, tools=["fs.read"])
    request = model.requests[-1]
    assert len(model.summaries) == asked
    assert not is_summary(request)
    assert answered(request.messages) == request.messages
    assert request.messages[0] == UserMessage(text="Read it")
    assert "> They read files." in request.messages[1].text
    assert request.messages[-1] == UserMessage(text="And?")


# The descriptions of the tools are a part of the context, whose size decides when a summary is made.
TOOLS = ["fs.*", "git.status", "git.diff", "git.log", "git.show", "terminal.exec", "speech.*", "output.read"]


async def test_summary_survives_a_wait_for_an_approval(start: Start) -> None:
    (workspaces().root.base / "long.txt").write_text("line\n" * 400)
    model = Reading(14)
    write = ToolCall(call_id="w", name="fs.write", arguments='{"path": "new.txt", "content": "x"}')
    model._answers[-2:-2] = [[write, Finished(reason="tool_calls")]]
    api = await start(model, policy="ask fs.write")
    run = await api.ask(message="Read, then write", stream=False, tools=TOOLS)
    waiting = run.json()
    assert (waiting["status"], waiting["compaction"]["summarized"] > 0) == ("waiting", True)
    asked = len(model.summaries)
    approval = waiting["approval"]
    decision = {"params_sha256": approval["params_sha256"]}
    await api.call("POST", f"/tools/executions/{approval['execution_id']}/approve", json=decision)
    over = await api.call("GET", f"/chat/runs/{waiting['id']}/stream")
    assert over.one("end")["reason"] == "completed"
    assert len(model.summaries) == asked
    assert "> They read files." in str(model.requests[-1].messages)
    assert answered(model.requests[-1].messages) == model.requests[-1].messages


async def test_budget_that_cannot_pay_a_summary_does_not_fail_the_run(start: Start, prices: Any) -> None:
    # The answers have at most 10 tokens, and a summary has more.
    prices.MODEL_PRICES = price_list("scripted-1:0,1000")
    prices.BUDGETS = budgets("0.05usd/run")
    api = await start(Scripted(*[DONE] * 6, context=3_000))
    fields: dict[str, Any] = {"tools": [], "max_output_tokens": 10}
    for number in range(6):
        answer = await api.ask(message=f"{number}" + 2 * LONG, **fields)
        fields["session_id"] = answer.headers["X-Session-Id"]
        assert answer.one("end")["reason"] == "completed"
    assert answer.one("compaction")["summarized"] == 0
    assert answer.one("compaction")["left_out"] > 0
    assert not await Reservation.objects.aexists()


async def test_correction_under_a_budget_is_reserved_after_the_answer_before_it_is_settled(
    start: Start, prices: Any
) -> None:
    prices.BUDGETS = budgets("90000tokens")
    api = await start(Scripted([text("no"), *DONE[1:]], [text("{}"), *DONE[1:]]))
    answer = await api.ask(message="Hi", tools=[], output_schema={"type": "object"})
    assert answer.one("end")["output"] == {}
    assert [(row.spent, row.reserved) async for row in Account.objects.all()] == [(20, 0)]
