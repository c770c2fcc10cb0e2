"""The providers that may answer a request, and the options that each has.

Covers `chat.starting.candidates`.
"""

from typing import Any, ClassVar

import msgspec
import pytest

from chat.engine.messages import ToolCall, UserMessage
from chat.engine.model_port import CompletionRequest, Finished, ProviderError, SamplingOptions
from chat.providers.gemini.requests import config
from chat.providers.local.requests import body
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from chat.providers.scripted import Scripted, text
from tests.chat.providers.fake_openai import DONE, finish, said, streamed
from tests.chat.providers.test_proxies import TIMEOUTS
from tests.conftest import Start
from tests.fake_service import fake_service
from tools.base import ToolSpec

STOP = Finished(reason="stop")
READ = ToolSpec(name="fs.read", description="Reads.", parameters={"type": "object", "properties": {}})
OPTIONS: dict[str, Any] = {
    "max_output_tokens": 90,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": -0.2,
    "reasoning_effort": "low",
    "tool_choice": "fs.read",
    "parallel_tool_calls": False,
}


class Plain(Scripted):
    """A provider with few options."""

    name = "plain"
    options: ClassVar[frozenset[str]] = frozenset({"max_output_tokens", "temperature"})


async def test_options_reach_an_openai_compatible_service_under_its_names() -> None:
    async with fake_service() as fake:
        fake.play(streamed(said("Hi"), finish(), DONE))
        openai = OpenAI(Endpoint(name="a", base_url=fake.url, extra_body=("top_k",)), TIMEOUTS)
        sampling = msgspec.convert({**OPTIONS, "extra_body": {"top_k": 3}}, SamplingOptions)
        request = CompletionRequest(model="m", messages=(UserMessage(text="Hi"),), tools=(READ,), sampling=sampling)
        async for _ in openai.stream(request):
            pass
        await openai.close()
    sent = fake.requests[0].body
    assert {name: sent[name] for name in OPTIONS if name not in {"max_output_tokens", "tool_choice"}} == {
        name: OPTIONS[name] for name in OPTIONS if name not in {"max_output_tokens", "tool_choice"}
    }
    assert (sent["max_tokens"], sent["top_k"]) == (90, 3)
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "fs_read"}}


@pytest.mark.parametrize(
    ("choice", "mode", "names"), [("auto", "AUTO", None), ("required", "ANY", None), ("fs.read", "ANY", ["fs_read"])]
)
def test_options_reach_gemini_under_its_names(choice: str, mode: str, names: list[str] | None) -> None:
    options = {
        name: value for name, value in OPTIONS.items() if name not in {"reasoning_effort", "parallel_tool_calls"}
    }
    sampling = msgspec.convert({**options, "tool_choice": choice}, SamplingOptions)
    made = config(CompletionRequest(model="m", messages=(), tools=(READ,), sampling=sampling))
    assert (made.top_p, made.stop_sequences, made.seed) == (0.9, ["END"], 7)
    assert (made.presence_penalty, made.frequency_penalty, made.max_output_tokens) == (0.1, -0.2, 90)
    assert made.tool_config
    calling = made.tool_config.function_calling_config
    assert calling
    assert (calling.mode, calling.allowed_function_names) == (mode, names)


def test_options_reach_the_local_model() -> None:
    sampling = SamplingOptions(top_p=0.9, stop=("END",), seed=7)
    sent = msgspec.json.decode(body(CompletionRequest(model="m", messages=(), sampling=sampling)))
    assert (sent["top_p"], sent["stop"], sent["seed"]) == (0.9, ["END"], 7)
    assert "presence_penalty" not in sent


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"top_p": 0.5, "seed": 1}, "top_p and seed"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"extra_body": {"top_k": 3}}, "extra_body and extra_body.top_k"),
    ],
)
async def test_option_that_the_provider_does_not_have_is_a_422(
    start: Start, fields: dict[str, Any], missing: str
) -> None:
    api = await start(Plain([text("Hi"), STOP]))
    answer = await api.ask(message="Hi", **fields)
    assert (answer.status, answer.json()["code"]) == (422, "option_unsupported")
    assert answer.json()["error"] == f"plain does not have {missing}. It has max_output_tokens, temperature."


async def test_field_of_the_service_s_own_needs_the_operator_s_permission(start: Start) -> None:
    api = await start(Scripted([text("Hi"), STOP]))
    answer = await api.ask(message="Hi", extra_body={"user": "x"})
    assert (answer.status, answer.json()["code"]) == (422, "option_unsupported")


@pytest.mark.parametrize(
    "fields",
    [
        {"top_p": 0},
        {"stop": []},
        {"stop": ["a"] * 5},
        {"seed": 2**63},
        {"reasoning_effort": "much"},
        {"tool_choice": 1},
    ],
)
async def test_invalid_option_is_a_422(start: Start, fields: dict[str, Any]) -> None:
    answer = await (await start(Scripted())).ask(message="Hi", **fields)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_field")


async def test_fallback_that_would_ignore_an_option_is_not_asked(start: Start) -> None:
    down = ProviderError("Down.", code="provider_rejected", retryable=False)
    api = await start(Scripted([down]), Plain([text("Hi"), STOP]), fallback=("plain",))
    answer = await api.ask(message="Hi", top_p=0.5)
    assert answer.one("error")["code"] == "provider_rejected"


async def test_choice_of_a_tool_holds_for_the_first_call_only(start: Start) -> None:
    called = ToolCall(call_id="1", name="fs.list", arguments="{}")
    model = Scripted([called, Finished(reason="tool_calls")], [text("Done."), STOP])
    await (await start(model)).ask(message="Hi", tool_choice="fs.list", top_p=0.5)
    assert [request.sampling.tool_choice for request in model.requests] == ["fs.list", None]
    assert [request.sampling.top_p for request in model.requests] == [0.5, 0.5]
