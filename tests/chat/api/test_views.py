"""`POST /chat/stream`, as a client sees it.

Covers `chat.api.provider_listing`, `chat.api.run_access`, `chat.api.run_responses`, `chat.history.messages`,
`chat.history.queries`, `chat.history.rebuilt_log`.

Covers `chat.api.streams`, `chat.history.directory`.
"""

import asyncio
import json
from typing import Any

import pytest

from chat.engine.messages import ProviderParts
from chat.engine.model_port import Finished, ProviderError, Thought, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.conftest import Start
from tools.resources import workspaces

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=7, output_tokens=2, cached_tokens=3)


async def test_answer_streams_and_is_numbered_without_gaps(start: Start) -> None:
    api = await start(Scripted([text("Hel", "lo"), USED, STOP]))
    answer = await api.ask(message="Hi")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.types() == ["start", "token", "usage", "end"]
    assert answer.text == "Hello"
    assert [event["id"] for event in answer.events] == [1, 2, 3, 4, 5]
    assert answer.one("end")["reason"] == "completed"


async def test_response_names_its_run_and_its_session(start: Start) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    answer = await api.ask(message="Hi")
    begun = answer.one("start")
    assert answer.headers["X-Run-Id"] == begun["run_id"]
    assert answer.headers["X-Session-Id"] == begun["session_id"]
    assert answer.headers["Content-Location"] == f"/chat/runs/{begun['run_id']}/stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"


async def test_session_includes_earlier_messages(start: Start) -> None:
    model = Scripted([text("Hello Ann"), STOP], [text("Ann"), STOP])
    api = await start(model)
    first = await api.ask(message="I am Ann")
    await api.ask(message="Who am I?", session_id=first.headers["X-Session-Id"])
    assert [message.text for message in model.requests[1].messages] == ["I am Ann", "Hello Ann", "Who am I?"]


async def test_session_run_and_messages_are_stored(start: Start) -> None:
    api = await start(Scripted([text("Hello"), USED, STOP]))
    answer = await api.ask(message="Hi", user="ann", metadata={"ticket": 7})
    run = await api.get(f"/chat/runs/{answer.headers['X-Run-Id']}")
    assert (run["status"], run["reason"], run["text"]) == ("completed", "completed", "Hello")
    assert run["usage"]["input_tokens"] == 7
    session = await api.get(f"/chat/sessions/{answer.headers['X-Session-Id']}")
    assert (session["user"], session["title"], session["active_run"]) == ("ann", "Hi", None)
    messages = await api.get(f"/chat/sessions/{answer.headers['X-Session-Id']}/messages")
    assert [(message["role"], message["content"]) for message in messages["items"]] == [
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]
    assert messages["items"][1]["usage"]["cached_tokens"] == 3


async def test_stored_run_is_replayed_byte_for_byte_from_every_cursor(start: Start) -> None:
    api = await start(Scripted([text("a", "b"), text("\u2028", "😀"), STOP]))
    answer = await api.ask(message="Hi")
    path = answer.headers["Content-Location"]
    frames = [frame + b"\n\n" for frame in answer.body.split(b"\n\n") if frame]
    for cursor in range(len(frames)):
        again = await api.call("GET", f"{path}?after={cursor}")
        assert again.body == b"".join(frames[cursor:])
    assert (await api.call("GET", path, headers={"Last-Event-ID": str(len(frames))})).status == 204
    assert (await api.call("GET", f"{path}?after={len(frames) + 1}")).status == 422


async def test_caller_calls_run_first_and_the_model_sees_their_results(start: Start) -> None:
    (workspaces().root.base / "notes.txt").write_text("The word is plover.\n")
    model = Scripted([text("plover"), STOP])
    api = await start(model)
    answer = await api.ask(message="Which word?", tool_calls=[{"name": "fs.read", "params": {"path": "notes.txt"}}])
    assert answer.types() == ["start", "tool_call", "tool_result", "token", "usage", "end"]
    result = answer.one("tool_result")
    assert result["tool"] == "fs.read"
    assert result["data"]["content"] == "The word is plover.\n"
    assert result["execution_id"] == answer.one("tool_call")["execution_id"]
    question, tool_message = model.requests[0].messages
    assert question.text == "Which word?"
    assert "plover" in tool_message.text


async def test_request_with_only_tool_calls_calls_no_model(start: Start) -> None:
    model = Scripted()
    api = await start(model)
    answer = await api.ask(tool_calls=[{"name": "fs.list", "params": {}}])
    assert answer.types() == ["start", "tool_call", "tool_result", "end"]
    assert model.requests == []


async def test_model_calls_a_tool_and_answers_with_its_result(start: Start) -> None:
    (workspaces().root.base / "notes.txt").write_text("The word is plover.\n")
    call = ToolCall(call_id="call_1", name="fs.read", arguments='{"path": "notes.txt"}')
    model = Scripted([call, Finished(reason="tool_calls")], [text("It is plover."), STOP])
    api = await start(model)
    answer = await api.ask(message="Read it")
    assert answer.types() == ["start", "usage", "tool_call", "tool_result", "token", "usage", "end"]
    assert answer.one("tool_call")["source"] == "model"
    asked, replied = model.requests[1].messages[1:]
    assert asked.tool_calls == (call,)
    assert replied.call_id == "call_1"
    assert "plover" in replied.content
    again = await api.ask(message="Thanks", session_id=answer.headers["X-Session-Id"])
    assert again.one("error")["code"] == "provider_unavailable"
    assert [type(message).__name__ for message in model.requests[2].messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "AssistantMessage",
        "UserMessage",
    ]


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("fs.read", {"path": "../outside"}, "outside_workspace"),
        ("fs.read", {"path": "missing.txt"}, "not_found"),
        ("fs.read", {}, "invalid_params"),
        ("fs.read", {"path": 1}, "invalid_params"),
        ("fs.read", {"path": "a", "extra": 1}, "invalid_params"),
        ("fs.shred", {}, "unknown_tool"),
    ],
)
async def test_tool_failure_is_reported_and_the_run_continues(
    start: Start, name: str, params: dict[str, object], code: str
) -> None:
    api = await start(Scripted([text("Sorry."), STOP]))
    answer = await api.ask(message="Try", tool_calls=[{"name": name, "params": params}])
    failed = answer.one("tool_error")
    assert (failed["tool"], failed["code"]) == (name, code)
    assert failed["error"]
    assert answer.text == "Sorry."
    assert answer.one("end")["reason"] == "completed"


async def test_failure_before_the_first_token_uses_the_fallback(start: Start) -> None:
    class Second(Scripted):
        name = "second"

    down = ProviderError("It is down.", code="provider_unavailable", retryable=True, retry_after=0)
    api = await start(Scripted([down], [down], [down]), Second([text("Here."), STOP]), fallback=("second",))
    answer = await api.ask(message="Hi")
    retries = [event for event in answer.events if event["type"] == "retry"]
    assert [event["next_provider"] for event in retries] == ["scripted", "scripted", "second"]
    assert answer.text == "Here."
    run = await api.get(f"/chat/runs/{answer.headers['X-Run-Id']}")
    assert run["provider"] == "second"


async def test_failure_after_the_first_token_keeps_the_partial_text(start: Start) -> None:
    cut = ProviderError("It was cut.", code="provider_protocol", retryable=True)
    api = await start(Scripted([text("Par"), cut]))
    answer = await api.ask(message="Hi")
    assert answer.types() == ["start", "token", "usage", "error"]
    assert answer.one("usage")["estimated"] is True
    assert answer.one("error") == {
        "id": 4, "type": "error", "error": "It was cut.", "code": "provider_protocol", "retryable": True,
    }  # fmt: skip
    run = await api.get(f"/chat/runs/{answer.headers['X-Run-Id']}")
    assert (run["status"], run["text"], run["error"]) == ("failed", "Par", "It was cut.")
    session = await api.get(f"/chat/sessions/{answer.headers['X-Session-Id']}")
    assert session["active_run"] is None


class Small(Scripted):
    """A model with a context of 1,000 tokens."""

    def max_context_tokens(self, model: str) -> int:
        return 1_000


async def test_message_longer_than_every_context_is_refused_before_it_is_stored(start: Start) -> None:
    api = await start(Small([text("Hi"), STOP], [text("Hi"), STOP]))
    answer = await api.ask(message="word " * 1_001)
    assert (answer.status, answer.json()["code"]) == (422, "context_too_long")
    assert (await api.get("/chat/sessions"))["count"] == 0
    # Many bytes are few tokens here.
    assert (await api.ask(message="word " * 900)).text == "Hi"
    assert (await api.ask(message="word " * 1_001, tool_calls=[{"name": "fs.list"}])).status == 422


@pytest.mark.parametrize(
    ("accept", "fields", "is_json"),
    [
        ("application/json", {}, True),
        ("*/*", {"stream": False}, True),
        ("application/json", {"stream": True}, False),
        ("application/json, text/plain, */*", {}, False),
        ("application/json, text/event-stream", {}, False),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
async def test_client_that_wants_json_gets_the_run_as_one_object(
    start: Start, accept: str, fields: dict[str, Any], is_json: bool, stored: bool
) -> None:
    api = await start(Scripted([text("Hi"), STOP]), stored=stored)
    answer = await api.call("POST", "/chat/stream", json={"message": "a", **fields}, headers={"Accept": accept})
    if is_json:
        run = answer.json()
        assert (run["id"], run["status"], run["text"]) == (answer.headers["X-Run-Id"], "completed", "Hi")
        assert answer.headers["Content-Location"] == f"/chat/runs/{run['id']}"
    else:
        assert answer.text == "Hi"


async def test_silent_json_answer_sends_white_space_and_reports_a_failure(start: Start, settings: Any) -> None:
    settings.HEARTBEAT_SECONDS = 0.02
    gate = asyncio.Event()
    failure = ProviderError("Refused.", code="provider_rejected", retryable=False)
    api = await start(Scripted([gate.wait, failure]))
    async with api.open({"message": "a", "stream": False}) as response:
        assert await response.content.readexactly(2) == b"\n\n"
        gate.set()
        run = json.loads(await response.content.read())
    assert (run["status"], run["reason"], run["error"]) == ("failed", "provider_rejected", "Refused.")


async def test_reasoning_is_shown_only_to_a_run_that_asks(start: Start) -> None:
    parts = ProviderParts(provider="scripted", model="scripted-1", data={}, reasoning="Hm. " * 50_000)
    thoughts = [Thought("Hm. "), Thought("Hm. " * 49_999), text("Hi"), Finished(reason="stop", provider_parts=parts)]
    api = await start(Scripted(thoughts, thoughts))
    assert "reasoning" not in (await api.ask(message="a")).types()
    answer = await api.ask(message="a", reasoning="show")
    assert [event["text"] for event in answer.events if event["type"] == "reasoning"] == ["Hm. ", "Hm. " * 24_999]
    assert answer.types() == ["start", "reasoning", "reasoning", "token", "usage", "end"]
    run = answer.one("start")["run_id"]
    assert (await api.call("GET", f"/chat/runs/{run}/stream")).body == answer.body
    messages = await api.get(f"/chat/sessions/{answer.one('start')['session_id']}/messages")
    assert messages["items"][-1]["reasoning"] == parts.reasoning
