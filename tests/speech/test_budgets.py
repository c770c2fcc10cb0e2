"""The cost of speech, booked on the budgets of keys and of the service.

Covers `speech.budget_port`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from access.limits.budgets import NANO, budgets
from speech.budgets import CallBudget
from speech.models import SpeechRequest
from speech.service import SpeechService
from spending.models import Account, Use
from tests.conftest import Start
from tests.speech.conftest import Make
from tests.speech.vendor import Reply, Vendor, json_reply
from tools.builtin.speech import tools
from tools.registry import Registry
from tools.workspace import Limits, Workspace

TEXT = "Hello."
COST = 90_000
"""The cost of six characters by tts-1, in billionths of a dollar."""

MP3 = Reply(headers={"Content-Type": "audio/mpeg"}, pieces=(b"\xff\xfb\x90\x00" * 64,))


async def test_exhausted_budget_rejects_paid_calls_and_allows_free_ones(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make())
    api = await start()
    settings.BUDGETS = budgets("1usd, 0.1usd/run")
    await Account.objects.acreate(name="service:usd", spent=NANO, reserved=0, updated=timezone.now())
    answer = await api.call("POST", "/speech/synthesis", json={"text": TEXT, "provider": "openai"})
    assert (answer.status, answer.json()["code"]) == (403, "budget_exceeded")
    assert "service" in answer.json()["error"]
    assert fake.asked == []
    row = await SpeechRequest.objects.aget()
    assert (row.status, row.code, row.cost_usd) == ("failed", "budget_exceeded", None)
    assert (await api.call("POST", "/speech/synthesis", json={"text": TEXT, "provider": "local"})).status == 200
    settings.BUDGETS = budgets("2usd")
    fake.play(MP3)
    assert (await api.call("POST", "/speech/synthesis", json={"text": TEXT, "provider": "openai"})).status == 200


async def spent() -> dict[str, int]:
    rows = await sync_to_async(lambda: list(Account.objects.values_list("name", "spent", "reserved")))()
    assert not any(reserved for _, _, reserved in rows)
    return {name.partition("/")[0]: billionths for name, billionths, _ in rows}


async def test_cost_is_reserved_before_the_call_and_counted_after_it(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make())
    api = await start()
    settings.BUDGETS = budgets("1usd/month, 5tokens")
    fake.play(MP3)
    assert (await api.call("POST", "/speech/synthesis", json={"text": TEXT})).status == 200
    assert await spent() == {"service:usd": COST}
    used = await Use.objects.aget()
    assert (used.provider, used.model, used.calls, used.cost) == ("openai", "tts-1", 1, COST)


async def test_call_rejected_by_the_vendor_costs_nothing(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make(("google", "local")))
    api = await start()
    settings.BUDGETS = budgets("1usd")
    fake.play(json_reply({"error": {"message": "no"}}, status=401))
    assert (await api.call("POST", "/speech/synthesis", json={"text": TEXT})).status == 502
    assert await spent() == {"service:usd": 0}


async def test_unknown_price_is_rejected_when_a_usd_budget_applies(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make())
    api = await start()
    unpriced = {"text": TEXT, "provider": "openai", "model": "gpt-4o-mini-tts"}
    settings.BUDGETS = budgets("5tokens")
    fake.play(MP3)
    assert (await api.call("POST", "/speech/synthesis", json=unpriced)).status == 200
    settings.BUDGETS = budgets("1usd")
    answer = await api.call("POST", "/speech/synthesis", json=unpriced)
    assert (answer.status, answer.json()["code"]) == (422, "price_unknown")
    assert len(fake.asked) == 1
    assert (await SpeechRequest.objects.filter(code="price_unknown").acount()) == 1


async def test_fifty_concurrent_calls_do_not_exceed_a_budget(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make())
    api = await start()
    settings.BUDGETS = budgets(f"{COST * 5.5 / NANO:.9f}usd")
    fake.play(*[MP3] * 50)
    calls = [api.call("POST", "/speech/synthesis", json={"text": TEXT, "provider": "openai"}) for _ in range(50)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200] * 5 + [403] * 45
    assert {answer.json()["code"] for answer in answers if answer.status == 403} == {"budget_exceeded"}
    assert len(fake.asked) == 5
    assert await spent() == {"service:usd": 5 * COST}


async def test_tool_uses_the_budgets_of_its_caller(
    start: Start, make: Make, fake: Vendor, tmp_path: Path, settings: Any
) -> None:
    workspace = Workspace(tmp_path, limits=Limits())
    api = await start(tools=Registry(tools(make(), workspace, CallBudget)))
    settings.BUDGETS = budgets(f"1usd, {COST * 1.5 / NANO:.9f}usd/session")
    fake.play(MP3, MP3, MP3)
    call = {"name": "speech.synthesize", "params": {"text": TEXT, "provider": "openai"}}
    answer = await api.ask(tool_calls=[call, call])
    assert answer.one("tool_result")["tool"] == "speech.synthesize"
    error = answer.one("tool_error")
    assert error["code"] == "denied"
    assert "session budget (usd" in error["error"]
    assert len(fake.asked) == 1
    other = await api.ask(tool_calls=[call])
    assert other.one("tool_result")
    assert (await spent())["service:usd"] == 2 * COST
    workspace.close()
