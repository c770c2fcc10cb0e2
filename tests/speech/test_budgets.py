"""What speech costs is counted, and booked on budgets of keys and of the service."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from access.budgets import NANO, budgets
from access.callers import LOCAL
from speech.models import SpeechRequest
from speech.record import Call
from speech.service import SpeechService
from spending.models import Account, Use
from tests.conftest import Start
from tests.speech.conftest import Make

SYNTHESIS = SpeechRequest.Operation.SYNTHESIS


async def test_where_nothing_is_left_a_call_is_refused_before_anything_happens(
    start: Start, make: Make, use: Callable[[SpeechService], None], settings: Any
) -> None:
    use(make(("openai", "google")))
    api = await start()
    settings.BUDGETS = budgets("1usd, 0.1usd/run")
    await Account.objects.acreate(name="service:usd", spent=NANO, reserved=0, updated=timezone.now())
    answer = await api.call("POST", "/speech/synthesis", json={"text": "Hello."})
    assert (answer.status, answer.json()["code"]) == (403, "budget_exceeded")
    assert "service" in answer.json()["error"]
    assert not await SpeechRequest.objects.aexists()
    settings.BUDGETS = budgets("2usd")
    assert (await api.call("POST", "/speech/synthesis", json={"text": "Hello."})).status == 200


@pytest.mark.django_db(transaction=True)
async def test_what_a_call_cost_is_booked_and_counted(settings: Any) -> None:
    settings.BUDGETS = budgets("1usd/month")
    call = Call(LOCAL, SYNTHESIS, provider="openai", model="tts-1")
    await call.open()
    call._row.cost_usd = SpeechRequest._meta.get_field("cost_usd").to_python("0.015")
    await call.succeed()
    ((name, spent),) = await sync_to_async(lambda: list(Account.objects.values_list("name", "spent")))()
    assert name.startswith("service:usd/")
    assert spent == 15_000_000
    used = await Use.objects.aget()
    assert (used.provider, used.model, used.calls, used.cost) == ("openai", "tts-1", 1, 15_000_000)
