"""The cost of vectors, booked on the budgets of the caller's key and of the service.

Covers `tools.retrieval.budgets`, `tools.retrieval.indexes`.
"""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from access.limits.budgets import NANO, budgets
from chat.providers.scripted import Scripted
from spending.models import Account, Use
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Start
from tests.retrieval.remote.embedding_vendor import EmbeddingVendor, service_at
from tests.speech.vendor import vendor
from tools import conf, resources
from tools.builtin import retrieval as tool
from tools.workspaces.tools import WorkspaceTools

TEXT = "the plan of alice"


@pytest.fixture
async def fake() -> AsyncIterator[EmbeddingVendor]:
    made = EmbeddingVendor()
    async with vendor(made):
        yield made
    shutil.rmtree(resources.workspaces().folder, ignore_errors=True)
    shutil.rmtree(conf.index_folder(), ignore_errors=True)


async def accounts() -> dict[str, int]:
    rows = await sync_to_async(lambda: list(Account.objects.values_list("name", "spent")))()
    return {name.partition(":")[0]: spent for name, spent in rows}


async def test_vectors_are_paid_by_the_key_and_the_service_and_words_cost_nothing(
    start: Start, make_key: MakeKey, fake: EmbeddingVendor, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BUDGETS = budgets("1usd")
    alice = await make_key("alice", "chat", "tools", "files.write", budgets=["1000tokens/month"])
    dollars: dict[str, float | None] = {"a token": None}

    def price(tokens: int) -> float | None:
        return None if dollars["a token"] is None else tokens * dollars["a token"]

    settings.RETRIEVAL_EMBEDDINGS = service_at(fake.url, price=price)
    found = resources.retrieval.__wrapped__()
    left: list[str] = []
    # The background would pay for the same vectors at any moment.
    monkeypatch.setattr(found, "finish_later", lambda *args: left.append(args[2].key))
    tools = WorkspaceTools(resources.workspaces(), lambda workspace: tool.tools(workspace, found))
    api = await start(Scripted(), tools=tools)
    assert tools.get("retrieval.search").effect == "network"
    body = {"name": "a.md", "text": TEXT}
    assert (await api.call("POST", "/retrieval/documents", json=body, headers=alice.headers)).status == 200

    async def search() -> Any:
        call = {"name": "retrieval.search", "params": {"query": "plan"}}
        answer = await api.call("POST", "/chat/stream", json={"tool_calls": [call]}, headers=alice.headers)
        data = answer.one("tool_result")["data"]
        assert len(data["results"]) == 1
        return data

    unknown = await search()
    assert "The price of words is unknown, and a service budget" in unknown["note"]
    dollars["a token"] = 0.01
    await Account.objects.filter(name="service:usd").aupdate(spent=NANO)
    if not await Account.objects.filter(name="service:usd").aexists():
        await Account.objects.acreate(name="service:usd", spent=NANO, reserved=0, updated=timezone.now())
    exceeded = await search()
    assert (exceeded["ranking"], exceeded["complete"]) == ("words", False)
    assert "Insufficient service budget (usd" in exceeded["note"]
    assert fake.asked == []
    await Account.objects.filter(name="service:usd").aupdate(spent=0)
    paid = await search()
    assert (paid["ranking"], paid["complete"]) == ("words and vectors", True)
    assert left == [str(alice.id)] * 2
    # Four words of the text, and one of the query.
    assert await accounts() == {"service": NANO * 5 // 100, "key": 5}
    rows = await sync_to_async(lambda: list(Use.objects.filter(model="words").values()))()
    assert [(row["provider"], row["calls"], row["input_tokens"], row["failed"]) for row in rows] == [
        ("openai", 2, 5, 0)
    ]
    assert rows[0]["owner"] == alice.owner
