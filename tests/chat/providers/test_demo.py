"""The scripted tour, with real tools.

Covers `chat.management.commands.demo`, `chat.providers.demo.tour`.
"""

from typing import Any

import pytest

from chat import conf
from chat.providers.demo import provider
from chat.providers.demo.provider import Demo
from chat.providers.demo.tour import FILE, TOUR
from tests.conftest import Start
from tools.resources import workspaces


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "WORD_SECONDS", 0)


async def test_tour_runs_every_tool_and_leaves_the_workspace_as_it_was(start: Start) -> None:
    (workspaces().root.base / "README.md").write_text("Read me.\n")
    before = sorted(workspaces().root.base.iterdir())
    answer = await (await start(Demo())).ask(message="Show me")
    assert [event["tool"] for event in answer.events if event["type"] == "tool_result"] == [
        step.tool for step in TOUR if step.tool
    ]
    assert answer.text == "".join(step.text for step in TOUR)
    assert answer.one("end")["reason"] == "completed"
    assert sorted(workspaces().root.base.iterdir()) == before


async def test_tour_waits_for_an_approval_if_the_policy_asks(start: Start) -> None:
    api = await start(Demo(), policy="ask fs.write")
    waiting = (await api.call("POST", "/chat/stream", json={"message": "Show me", "stream": False})).json()
    assert (waiting["status"], waiting["approval"]["params"]["path"]) == ("waiting", FILE)


async def test_file_of_the_user_with_the_tour_s_name_is_kept(start: Start) -> None:
    own = workspaces().root.base / FILE
    own.write_text("mine\n")
    try:
        await (await start(Demo())).ask(message="Show me")
        assert own.read_text() == "mine\n"
    finally:
        own.unlink()


def test_tour_exists_only_if_it_is_chosen(settings: Any) -> None:
    assert "demo" not in conf.provider_registry().names
    settings.DEFAULT_PROVIDER = "demo"
    assert conf.provider_registry().default == "demo"
