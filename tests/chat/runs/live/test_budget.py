"""Budgets of money and tokens: reserved before each model call, settled after it, never exceeded by concurrent runs.

Covers `chat.engine.context.window`, `chat.pricing.tokenizer`.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from access.limits.budgets import budgets
from chat.engine.messages import UserMessage
from chat.engine.model_port import CompletionRequest, Finished, ProviderError, TokensUsed, ToolCall
from chat.engine.retry import Candidate, ModelCall
from chat.models import Run
from chat.pricing.price_list import price_list
from chat.providers.scripted import Scripted, text
from chat.runs.cluster import lease
from chat.runs.live.budget import RunBudget, Tariff
from spending import ledger
from spending.accounts import Amount, Line, Payer
from spending.ledger import Reserved
from spending.models import Account, Reservation, Use
from storage.writer import writer
from tests.conftest import Start

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=30, output_tokens=20)
CALL = ToolCall(call_id="c1", name="fs.list", arguments="{}")


@pytest.fixture(autouse=True)
def limits(settings: Any) -> Any:
    settings.RUN_MAX_OUTPUT_TOKENS = 100
    settings.MODEL_PRICES = price_list("scripted-1:1000,1000")
    return settings


def accounts() -> dict[str, tuple[int, int]]:
    return {row.name: (row.spent, row.reserved) for row in Account.objects.all()}


async def balances() -> dict[str, tuple[int, int]]:
    return await sync_to_async(accounts)()


async def test_call_is_settled_at_its_usage_and_no_reservation_remains(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens, 5usd/run")
    api = await start(Scripted([text("Hello"), USED, STOP]))
    answer = await api.ask(message="Hi", tools=[])
    assert answer.one("end")["reason"] == "completed"
    assert answer.one("usage")["cost_usd"] == pytest.approx(0.05)
    assert await balances() == {"service:tokens": (50, 0)}
    assert not await Reservation.objects.aexists()


async def test_call_that_exceeds_a_budget_is_not_made(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("99tokens")
    model = Scripted([text("Hello"), STOP])
    answer = await (await start(model)).ask(message="Hi", tools=[])
    assert model.requests == []
    assert answer.types() == ["start", "budget", "end"]
    reported = {
        "type": "budget",
        "id": 2,
        "scope": "service",
        "span": "ever",
        "spent": 0,
        "limit": 99,
        "unit": "tokens",
    }
    assert answer.one("budget") == reported
    assert answer.one("end")["reason"] == "budget_exceeded"
    run = await Run.objects.aget()
    assert (run.status, run.reason) == ("completed", "budget_exceeded")
    assert await balances() == {"service:tokens": (0, 0)}


async def test_text_before_the_budget_ran_out_is_kept(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens/run")
    much = TokensUsed(input_tokens=930, output_tokens=20)
    api = await start(Scripted([text("I look."), CALL, much, Finished(reason="tool_calls")], [text("Never"), STOP]))
    answer = await api.ask(message="Hi", tools=["fs.list"])
    assert answer.text == "I look."
    assert answer.one("end")["reason"] == "budget_exceeded"
    assert (await api.get(f"/chat/runs/{answer.headers['X-Run-Id']}"))["text"] == "I look."
    assert await balances() == {}


async def test_budget_event_is_sent_once_at_four_fifths(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("0.2usd")
    api = await start(Scripted(*[[text("x"), TokensUsed(input_tokens=5, output_tokens=40), STOP]] * 5))
    reported = [(await api.ask(message="Hi", max_output_tokens=40, tools=[])).types() for _ in range(4)]
    assert ["budget" in types for types in reported] == [False, False, False, True]
    last = await api.ask(message="Hi", max_output_tokens=10, tools=[])
    assert (last.one("budget")["spent"], last.one("budget")["limit"]) == (pytest.approx(0.18), pytest.approx(0.2))


async def test_unknown_price_is_rejected_when_a_usd_budget_applies(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("100usd")
    settings.MODEL_PRICES = ()
    model = Scripted([text("Hello"), STOP])
    answer = await (await start(model)).ask(message="Hi", tools=[])
    assert (answer.status, answer.json()["code"]) == (422, "price_unknown")
    assert "MODEL_PRICES" in answer.json()["error"]
    assert model.requests == []
    assert not await Run.objects.aexists()


async def test_failed_attempt_costs_nothing(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens")
    refused = ProviderError("No.", code="provider_auth", retryable=False)
    await (await start(Scripted([refused]))).ask(message="Hi", tools=[])
    assert await balances() == {"service:tokens": (0, 0)}


async def test_broken_stream_costs_its_partial_output(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens")
    broken = ProviderError("Gone.", code="provider_unavailable", retryable=True)
    answer = await (await start(Scripted([text("Hello world"), broken]))).ask(message="Hi", tools=[])
    usage = answer.one("usage")
    assert usage["estimated"]
    assert usage["output_tokens"] == 2
    assert await balances() == {"service:tokens": (usage["input_tokens"] + 2, 0)}


async def test_call_cancelled_before_its_first_token_costs_its_input(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("100000tokens")
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()
        await asyncio.Event().wait()

    api = await start(Scripted([ask, STOP]))
    async with api.open({"message": "Hi"}) as response:
        await asyncio.wait_for(asked.wait(), 5)
        assert [reserved > 100 for _, reserved in (await balances()).values()] == [True]
        await api.call("POST", f"/chat/runs/{response.headers['X-Run-Id']}/cancel")
        await response.read()
    ((spent, reserved),) = (await balances()).values()
    assert spent > 0
    assert reserved == 0


async def test_reservation_of_a_dead_process_is_settled_in_full(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("100000tokens")
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()
        await asyncio.Event().wait()

    api = await start(Scripted([ask, STOP]))
    async with api.open({"message": "Hi", "on_disconnect": "continue"}) as response:
        await asyncio.wait_for(asked.wait(), 5)
        run_id = UUID(response.headers["X-Run-Id"])
        before = await balances()
        await Run.objects.filter(id=run_id).aupdate(process="elsewhere:1:1:1:1")
        await writer.write(partial(lease._end_dead, proven=False))
        ((_, was),) = before.values()
        assert await balances() == {"service:tokens": (was, 0)}


async def test_fifty_concurrent_runs_do_not_exceed_a_budget(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1500tokens")
    settings.RUN_MAX_OUTPUT_TOKENS = 80
    go = asyncio.Event()
    model = Scripted(*[[go.wait, text("x"), TokensUsed(input_tokens=5, output_tokens=80), STOP]] * 50)
    api = await start(model)
    asking = [asyncio.create_task(api.ask(message="Hi", tools=[])) for _ in range(50)]
    async with asyncio.timeout(10):
        while await Run.objects.filter(reason="budget_exceeded").acount() + len(model.requests) < 50:
            await asyncio.sleep(0.01)
    ((spent, reserved),) = (await balances()).values()
    assert spent == 0
    assert 1500 - 100 < reserved <= 1500
    go.set()
    reasons = [(await answer).one("end")["reason"] for answer in asking]
    assert reasons.count("completed") == len(model.requests)
    assert reasons.count("budget_exceeded") == 50 - len(model.requests)
    ((spent, reserved),) = (await balances()).values()
    assert spent == 85 * len(model.requests) <= 1500
    assert reserved == 0


async def test_usage_is_added_up_by_day_and_model(start: Start) -> None:
    api = await start(Scripted([text("Hello"), USED, STOP], [text("Again"), USED, STOP]))
    await api.ask(message="Hi", tools=[])
    await api.ask(message="Hi", tools=[])
    use = await Use.objects.aget(tool="")
    assert (use.day, use.owner, use.key) == (timezone.now().date(), "operator", "operator")
    assert (use.provider, use.model, use.calls, use.input_tokens, use.cost) == (
        "scripted",
        "scripted-1",
        2,
        60,
        100_000_000,
    )


async def test_account_of_a_deleted_session_is_deleted(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens/session")
    api = await start(Scripted([text("Hello"), USED, STOP]))
    answer = await api.ask(message="Hi", tools=[])
    session = answer.headers["X-Session-Id"]
    assert await balances() == {f"session:{session}:tokens": (50, 0)}
    await api.call("DELETE", f"/chat/sessions/{session}")
    assert await balances() == {}


async def test_budget_without_persistence_rejects_the_request(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens")
    answer = await (await start(Scripted([STOP]), stored=False)).ask(message="Hi", tools=[])
    assert (answer.status, answer.json()["code"]) == (409, "budget_unkept")


async def test_open_reservation_is_settled_when_its_run_is_over(start: Start, settings: Any) -> None:
    settings.BUDGETS = budgets("1000tokens")
    api = await start(Scripted([text("Hello"), USED, STOP]))
    run_id = UUID((await api.ask(message="Hi", tools=[])).headers["X-Run-Id"])
    await Reservation.objects.acreate(run=run_id, amounts=[["service:tokens", "tokens", 70]], created=timezone.now())
    await Account.objects.filter(name="service:tokens").aupdate(reserved=70)
    await writer.write(partial(lease._end_dead, proven=True))
    assert await balances() == {"service:tokens": (120, 0)}


@pytest.mark.parametrize(("fresh", "written", "reserved"), [(0.1, 0.125, 125_000_000), (0.1, 0.03, 100_000_000)])
async def test_reservation_covers_an_input_that_is_written_to_the_cache(
    monkeypatch: pytest.MonkeyPatch, fresh: float, written: float, reserved: int
) -> None:
    amounts: list[Amount] = []

    def reserve(run_id: UUID, drawn: tuple[Line, ...], maximum: Amount, now: datetime) -> Reserved:
        amounts.append(maximum)
        return Reserved((0,) * len(drawn))

    async def commit(job: Callable[[], Any]) -> Any:
        return job()

    monkeypatch.setattr(ledger, "reserve", reserve)
    tariff = Tariff(
        price=lambda _, __, used: written if used.cache_write_tokens else fresh, count=len, budgets=budgets("5usd")
    )
    candidate = Candidate(provider=Scripted(), model="m", context_tokens=9, supports_tools=False)
    request = CompletionRequest(model="m", messages=(UserMessage(text="Hi"),))
    await RunBudget(UUID(int=1), Payer(owner="o"), tariff, commit).reserve(ModelCall(candidate, request), 9)
    assert [amount.nanos for amount in amounts] == [reserved]


async def test_reservation_of_a_call_that_was_never_made_is_released(
    start: Start, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop the run after its reservation and before the model call."""
    settings.BUDGETS = budgets("1000tokens")
    asked, reserve = asyncio.Event(), RunBudget.reserve

    async def slowly(budget: RunBudget, *of: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()
        return await reserve(budget, *of)

    monkeypatch.setattr(RunBudget, "reserve", slowly)
    model = Scripted([text("Hello"), STOP])
    api = await start(model)
    async with api.open({"message": "Hi", "tools": []}) as response:
        await asyncio.wait_for(asked.wait(), 5)
        assert [reserved for _, reserved in (await balances()).values()] == [105]
        await api.call("POST", f"/chat/runs/{response.headers['X-Run-Id']}/cancel")
        await response.read()
    assert model.requests == []
    assert await balances() == {"service:tokens": (0, 0)}
