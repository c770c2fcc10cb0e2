"""Covers `chat.providers.openai.history`, `chat.providers.sent_calls`, `chat.engine.text`."""

import json
from typing import Any

import pytest

from chat.engine.events import Retry
from chat.engine.limits import Limits
from chat.engine.messages import AssistantMessage, Image, Message, ProviderParts, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.engine.retry import Candidate
from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.history import CUT_OFF, PORTABLE_ID, sent_messages
from chat.providers.openai.provider import OpenAI
from tests.chat.engine.test_loop import play, reason, turn
from tests.chat.providers import fake_openai
from tests.fake_service import FakeService, Recorded, Reply, fake_service

USER = UserMessage(text="What?")


def sent(*messages: Message) -> list[dict[str, Any]]:
    return sent_messages(CompletionRequest(model="m", messages=messages))


def called(*calls: ToolCall, parts: ProviderParts | None = None) -> list[Message]:
    results = [ToolMessage(call_id=call.call_id, name=call.name, content="found") for call in calls]
    return [AssistantMessage(text="", tool_calls=calls, provider_parts=parts), *results]


def call(call_id: str = "a", name: str = "fs.read", arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id=call_id, name=name, arguments=arguments)


@pytest.mark.parametrize(
    "arguments", ['{"path": "a"', "", "null", "[1]", "7", '"text"', '{"a": 1}\n```', '{"a": 1}``` {}']
)
def test_arguments_are_sent_as_an_object(arguments: str) -> None:
    function = sent(USER, *called(call(arguments=arguments)))[1]["tool_calls"][0]["function"]
    assert isinstance(json.loads(function["arguments"]), dict)


@pytest.mark.parametrize("name", ["", "x" * 65, "fs read", "fs<|channel|>", "é"])
def test_names_are_sent_in_a_form_that_services_take(name: str) -> None:
    sent_name = sent(USER, *called(call(name=name)))[1]["tool_calls"][0]["function"]["name"]
    assert sent_name.isascii()
    assert 1 <= len(sent_name) <= 64
    assert sent_name.replace("_", "a").replace("-", "a").isalnum()


@pytest.mark.parametrize(("portable", "kept"), [(False, 2), (True, 0)])
def test_ids_are_unique_in_the_session_and_answered(portable: bool, kept: int) -> None:
    messages = (USER, *called(call("call_0"), call("call_1")), *called(call("call_0"), call("é")))
    found = sent_messages(CompletionRequest(model="m", messages=messages), portable_ids=portable)
    made = [one["id"] for message in found for one in message.get("tool_calls", ())]
    assert len(set(made)) == 4
    assert made[:kept] == ["call_0", "call_1"][:kept]
    assert all(PORTABLE_ID.fullmatch(one) for one in made[kept:])
    assert [message["tool_call_id"] for message in found if message["role"] == "tool"] == made


def test_own_message_goes_back_as_it_came() -> None:
    data = {"fields": {"reasoning_content": "hm"}, "calls": {"a": {"extra_content": {"google": {"s": "x"}}}}}
    own = ProviderParts(provider="openai", model="m", data=data, reasoning="hm")
    message = sent(USER, *called(call("a"), parts=own))[1]
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"][0]["extra_content"] == {"google": {"s": "x"}}


@pytest.mark.parametrize(("provider", "model"), [("gemini", "m"), ("openai", "other")])
def test_fields_of_another_model_are_not_sent(provider: str, model: str) -> None:
    parts = ProviderParts(provider=provider, model=model, data={"fields": {"reasoning": "hm"}, "calls": {}})
    message = sent(USER, *called(call("a"), parts=parts))[1]
    assert "reasoning" not in message


class Echoing(FakeService):
    """A service that reasons before each call of `fs_read`, and answers 400 where its reasoning is not sent back.

    The calls of other tools, which another model wrote, need any reasoning.
    """

    def __init__(self, field: str, steps: int) -> None:
        super().__init__()
        self.written: list[str] = []
        self._field = field
        self._steps = steps

    def reply_to(self, request: Recorded) -> Reply:
        asked = [message for message in request.body["messages"] if message.get("tool_calls")]
        own = [one.get(self._field) for one in asked if one["tool_calls"][0]["function"]["name"] == "fs_read"]
        if own != self.written or not all(message.get(self._field) for message in asked):
            return fake_openai.refused(400, {"message": f"{self._field} is missing in assistant tool call message"})
        if len(self.written) == self._steps:
            return fake_openai.streamed(fake_openai.said("Done."), fake_openai.finish(), fake_openai.DONE)
        pieces = (f"Step {len(self.written)}.", " 😀")
        self.written.append("".join(pieces))
        thoughts = (fake_openai.sse(fake_openai.delta(content=None, **{self._field: piece})) for piece in pieces)
        made = fake_openai.call(0, call_id=f"call_{len(own)}", name="fs_read", arguments="{}")
        return fake_openai.streamed(*thoughts, made, fake_openai.finish("tool_calls"), fake_openai.DONE)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_service_that_needs_its_reasoning_back_passes_a_run_of_thirty_steps(field: str) -> None:
    service = Echoing(field, 30)
    assert [reason(await asked(service)), len(service.requests)] == ["completed", 31]


async def test_service_that_needs_reasoning_takes_over_from_another_model() -> None:
    service = Echoing("reasoning_content", 5)
    foreign = ToolCall(call_id="foreign:1", name="fs.list", arguments="{}")
    items = await asked(service, USER, *called(foreign), USER)
    assert reason(items) == "completed"
    assert [item.code for item in items if isinstance(item, Retry)] == ["provider_rejected"]
    assert len(service.written) == 5


async def asked(service: Echoing, *messages: Message) -> list[Any]:
    """Return everything that a run yields with the service as its model."""
    async with fake_service(service):
        provider = OpenAI(Endpoint(name="a", base_url=service.url), Timeouts(connect=5, first_byte=9, idle=9))
        candidate = Candidate(provider=provider, model="m", context_tokens=100_000, supports_tools=True)
        limits = Limits(
            max_seconds=60, max_steps=40, max_tool_calls=40, max_output_tokens=100_000, max_output_bytes=100_000
        )
        items = await play(turn(candidates=(candidate,), limits=limits, messages=messages or (USER,)))
        await provider.close()
    return items


def test_roles_alternate() -> None:
    image = Image(media_type="image/png", data=b"x")
    found = sent(
        USER,
        UserMessage(text="Well?", images=(image,)),
        AssistantMessage(text=""),
        AssistantMessage(text="So"),
        AssistantMessage(text="it is."),
        USER,
        *called(call("a")),
        USER,
    )
    assert [message["role"] for message in found] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert [part["type"] for part in found[0]["content"]] == ["text", "text", "image_url"]
    assert found[1]["content"] == "So\n\nit is."
    assert found[5]["content"] == CUT_OFF
