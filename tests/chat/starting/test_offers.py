"""A model with many tools, over a real socket: it is offered some of them, and finds the others.

Covers `tools.tool_search.search_tool`.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.chat.providers.fake_openai import DONE, call, finish, said, streamed
from tests.conftest import Start
from tests.fake_service import FakeService, Recorded, fake_service

CLIENT_TOOL = {"name": "page_title", "description": "Read the title.", "parameters": {"type": "object"}}


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


@pytest.fixture
def openai(fake: FakeService) -> OpenAI:
    endpoint = Endpoint(name="openai", base_url=f"{fake.url}/v1", api_key="k", default_model="gpt-x")
    return OpenAI(endpoint, Timeouts(connect=5, first_byte=5, idle=5))


@pytest.fixture
def few(settings: Any) -> None:
    settings.TOOL_SEARCH_ABOVE = 3
    settings.TOOL_SEARCH_TOKENS = 900


def names(request: Recorded) -> list[str]:
    return [tool["function"]["name"] for tool in request.body["tools"]]


@pytest.mark.usefixtures("few")
async def test_model_finds_a_tool_and_calls_it_in_the_same_run(start: Start, fake: FakeService, openai: OpenAI) -> None:
    fake.play(
        streamed(
            call(0, call_id="c1", name="tools_search", arguments='{"query": "write a file", "limit": 1}'),
            finish("tool_calls"),
            DONE,
        ),
        streamed(
            call(0, call_id="c2", name="fs_write", arguments='{"path": "found.txt", "content": "x"}'),
            finish("tool_calls"),
            DONE,
        ),
        streamed(said("Done."), finish(), DONE),
        streamed(said("Again."), finish(), DONE),
    )
    api = await start(openai)
    answer = await api.ask(message="hello", tools=["fs.*", "git.*"])
    assert answer.text == "Done."
    first, second, third = fake.requests
    assert "tools_search" in names(first)
    assert "fs_write" not in names(first)
    assert "fs_write" in names(second)
    assert names(third) == names(second)
    found, written = (event["data"] for event in answer.events if event["type"] == "tool_result")
    assert [tool["name"] for tool in found["tools"]] == ["fs.write"]
    assert found["available"] > 3
    assert written["path"] == "found.txt"
    # The next turn of the session still has the tool that was called.
    await api.ask(message="thanks", tools=["fs.*", "git.*"], session_id=answer.events[0]["session_id"])
    assert "fs_write" in names(fake.requests[-1])


@pytest.mark.usefixtures("few")
async def test_best_matches_for_the_message_and_tools_of_the_client_are_offered(
    start: Start, fake: FakeService, openai: OpenAI
) -> None:
    fake.play(streamed(said("Done."), finish(), DONE))
    api = await start(openai)
    await api.ask(message="list the folder", client_tools=[CLIENT_TOOL])
    assert {"fs_list", "tools_search", "page_title"} <= set(names(fake.requests[0]))
    assert len(names(fake.requests[0])) < 8


async def test_few_tools_are_all_offered_without_a_search(start: Start, fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(said("Done."), finish(), DONE))
    api = await start(openai)
    await api.ask(message="hello", tools=["fs.*", "tools.search"])
    assert names(fake.requests[0]) == ["fs_read", "fs_list", "fs_search", "fs_write", "fs_apply_patch"]


async def test_caller_searches_the_tools_of_its_run(start: Start, fake: FakeService, openai: OpenAI) -> None:
    api = await start(openai)
    answer = await api.ask(tools=["fs.*"], tool_calls=[{"name": "tools.search", "params": {"query": "read a file"}}])
    (result,) = (event["data"] for event in answer.events if event["type"] == "tool_result")
    assert result["tools"][0]["name"] == "fs.read"
    assert {tool["name"].partition(".")[0] for tool in result["tools"]} == {"fs"}
