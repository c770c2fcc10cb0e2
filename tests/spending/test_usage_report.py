"""`GET /usage`, `manage.py usage`, and the limit of concurrent runs per key.

Covers `spending.api`, `spending.management.commands.usage`.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.db import transaction

from access.keys.issuing import issue, validated
from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.pricing.price_list import price_list
from chat.providers.scripted import Scripted, text
from spending import ledger
from spending.ledger import Used
from tests.conftest import Start

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=30, output_tokens=20, cached_tokens=10, reasoning_tokens=5)


async def key(name: str, **options: Any) -> dict[str, str]:
    """Return the header of a new key."""
    now = datetime.now(UTC)
    issued = await sync_to_async(issue)(validated(now, name=name, **options), now)
    return {"X-API-Key": issued.secret}


@pytest.fixture
def priced(settings: Any) -> None:
    settings.MODEL_PRICES = price_list("scripted-1:1,2,0.5,4")


async def test_callers_see_their_own_usage_and_an_auditor_sees_all(start: Start, priced: None) -> None:
    api = await start(Scripted(*[[text("Hi"), USED, STOP]] * 3))
    alice, bob = await key("alice"), await key("bob")
    auditor = await key("auditor", words=["audit"])
    for headers in (alice, alice, bob):
        assert (await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers)).status == 200
    own = await api.get("/usage?group_by=key", headers=alice)
    assert [(item["name"], item["calls"], item["input_tokens"]) for item in own["items"]] == [("alice", 2, 60)]
    # 20 new at 1, 10 cached at 0.5, 15 output at 2 and 5 reasoning at 4: 75 millionths of a dollar per call.
    assert own["total"]["cost_usd"] == pytest.approx(150e-6)
    every = await api.get("/usage?group_by=key", headers=auditor)
    assert {(item["name"], item["calls"]) for item in every["items"]} == {("alice", 2), ("bob", 1)}
    by_model = await api.get("/usage?group_by=model", headers=auditor)
    assert [(row["provider"], row["model"], row["calls"]) for row in by_model["items"]] == [
        ("scripted", "scripted-1", 3)
    ]
    (today,) = (await api.get("/usage", headers=auditor))["items"]
    assert (today["day"], today["reasoning_tokens"]) == (datetime.now(UTC).date().isoformat(), 15)


async def test_tools_are_counted_by_name(start: Start) -> None:
    calls = [ToolCall(call_id=str(n), name=name, arguments="{}") for n, name in enumerate(["fs.list", "no.such"])]
    api = await start(Scripted([*calls, USED, Finished(reason="tool_calls")], [text("Hi"), USED, STOP]))
    await api.ask(message="Hi")
    items = (await api.get("/usage?group_by=tool"))["items"]
    assert {(item["tool"], item["calls"], item["failed"]) for item in items} == {("fs.list", 1, 0), ("unknown", 1, 1)}


async def test_days_outside_the_range_are_left_out(start: Start) -> None:
    api = await start(Scripted())
    now = datetime.now(UTC)

    @sync_to_async
    def use() -> None:
        with transaction.atomic():
            for days in (0, 1, 2):
                ledger.add([Used(owner="operator", key="operator", model="m", nanos=10**9)], now - timedelta(days=days))

    await use()
    yesterday = (now - timedelta(days=1)).date()
    assert (await api.get(f"/usage?since={yesterday}"))["total"]["calls"] == 2
    assert (await api.get(f"/usage?until={yesterday}"))["total"]["cost_usd"] == 2
    only = await api.get(f"/usage?since={yesterday}&until={yesterday}")
    assert [item["day"] for item in only["items"]] == [yesterday.isoformat()]


@pytest.mark.parametrize("query", ["group_by=hour", "since=yesterday", "until=2026-13-01", "group_by="])
async def test_invalid_report_query_is_rejected(start: Start, query: str) -> None:
    api = await start(Scripted())
    answer = await api.call("GET", f"/usage?{query}")
    assert (answer.status, answer.json()["code"]) == (422, "invalid_field")


async def test_call_with_an_unknown_price_is_counted_as_unpriced(start: Start) -> None:
    api = await start(Scripted([text("Hi"), USED, STOP]))
    await api.ask(message="Hi")
    total = (await api.get("/usage"))["total"]
    assert (total["calls"], total["unpriced"], total["cost_usd"]) == (1, 1, 0)


async def test_number_of_concurrent_runs_per_key_is_limited(start: Start) -> None:
    go = asyncio.Event()
    api = await start(Scripted(*[[go.wait, text("Hi"), STOP]] * 12))
    headers = await key("alice", max_runs=3)
    asking = [
        asyncio.create_task(api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers))
        for _ in range(12)
    ]
    async with asyncio.timeout(10):
        while sum(task.done() for task in asking) < 9:
            await asyncio.sleep(0.01)
    refused = [task.result() for task in asking if task.done()]
    assert {(answer.status, answer.json()["code"]) for answer in refused} == {(429, "too_many_runs")}
    assert all(answer.headers["Retry-After"] for answer in refused)
    other = asyncio.create_task(api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=await key("bob")))
    go.set()
    assert (await other).status == 200
    assert sorted([(await task).status for task in asking]) == [200] * 3 + [429] * 9
    assert (await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers)).status == 200


@pytest.mark.django_db(transaction=True)
def test_command_reports_usage_and_budgets() -> None:
    with transaction.atomic():
        ledger.add([Used(owner="o", key="operator", provider="p", model="m", input_tokens=7, nanos=None)], NOW)
        ledger.add([Used(owner="o", key="operator", provider="p", model="m", input_tokens=7, nanos=15 * 10**8)], NOW)
    output = run("--group-by", "model")
    first = output.splitlines()[0].split()
    assert " ".join(first) == "p m 2 calls 14 in 0 out 1.500000 USD, and 1 call without a known price"
    assert json.loads(run("--json"))["items"][0]["day"] == "2026-11-22"
    assert run("--since", "2026-11-23").splitlines()[0].startswith("all")
    assert run("--budgets") == ""
    with pytest.raises(CommandError, match="invalid"):
        run("--since", "soon")


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(*options: str) -> str:
    out = StringIO()
    call_command("usage", *options, stdout=out)
    return out.getvalue()
