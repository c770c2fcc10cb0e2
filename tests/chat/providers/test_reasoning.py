"""Reasoning of all services: the effort that is asked for, and its stream.

Covers `chat.providers.anthropic.effort`, `chat.providers.gemini.effort`.
"""

import asyncio
from typing import Any

import pytest

from chat.engine.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest, Finished, SamplingOptions, Text, Thought
from chat.providers.anthropic.effort import efforts as claude_efforts
from chat.providers.anthropic.effort import problem
from chat.providers.anthropic.provider import Anthropic
from chat.providers.anthropic.requests import body
from chat.providers.base import Provider, Timeouts
from chat.providers.gemini.effort import efforts as gemini_efforts
from chat.providers.gemini.provider import Gemini
from chat.providers.gemini.requests import config
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.chat.providers import fake_anthropic, fake_gemini, fake_openai
from tests.conftest import Start
from tests.fake_service import FakeService, Reply, fake_service
from tools.base import ToolSpec

TIMEOUTS = Timeouts(connect=5, first_byte=20, idle=20)
HELLO = (UserMessage(text="Hi"),)
READ = ToolSpec(name="fs.read", description="Reads.", parameters={"type": "object"})
CALLED = AssistantMessage(text="", tool_calls=(ToolCall(call_id="c", name="fs.read", arguments="{}"),))
RESULT = ToolMessage(call_id="c", name="fs.read", content="found")


def asking(
    model: str, effort: str | None, *messages: Message, shown: bool = False, **sampling: Any
) -> CompletionRequest:
    return CompletionRequest(
        model=model,
        messages=messages or HELLO,
        tools=(READ,),
        sampling=SamplingOptions(reasoning_effort=effort, **sampling),
        shows_reasoning=shown,
    )


@pytest.mark.parametrize(
    ("model", "valid"),
    [
        ("claude-3-5-haiku-20241022", ""),
        ("claude-instant-1.2", ""),
        ("claude-3-7-sonnet-20250219", "none minimal low medium high xhigh"),
        ("claude-opus-4-20250514", "none minimal low medium high xhigh"),
        ("claude-haiku-4-5-20251001", "none minimal low medium high xhigh"),
        ("glm-4.6", "none minimal low medium high xhigh"),
        ("claude-opus-4-6", "none low medium high"),
        ("anthropic.claude-sonnet-4-6-v1", "none low medium high"),
        ("claude-opus-4.7", "none low medium high xhigh"),
        ("claude-sonnet-5", "none low medium high xhigh"),
        ("claude-sonnet-5-5", "none low medium high xhigh"),
        ("claude-opus-5-5", "low medium high xhigh"),
        ("claude-fable-5", "low medium high xhigh"),
        ("gemini-2.0-flash", ""),
        ("gemma-3-27b-it", ""),
        ("gemini-2.5-pro", "minimal low medium high"),
        ("models/gemini-2.5-flash-lite", "none minimal low medium high"),
        ("gemini-3-pro-preview", "low high"),
        ("gemini-3.1-pro-preview", "low medium high"),
        ("gemini-3-flash", "minimal low medium high"),
        ("gemini-flash-latest", "minimal low medium high"),
    ],
)
def test_each_generation_of_models_takes_its_own_efforts(model: str, valid: str) -> None:
    assert " ".join((gemini_efforts if "gem" in model else claude_efforts)(model)) == valid


ADAPTIVE = {"type": "adaptive"}
SHOWN = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "effort", "shown", "max_tokens", "thinking"),
    [
        ("claude-opus-4-6", "high", True, 9_000, ADAPTIVE),
        ("claude-opus-4-7", "xhigh", False, 9_000, ADAPTIVE),
        ("claude-opus-4-7", "low", True, 9_000, SHOWN),
        # Asking for the reasoning to be shown does not switch it on.
        ("claude-opus-4-7", None, True, 9_000, None),
        ("claude-sonnet-5-5", None, True, 9_000, SHOWN),
        ("claude-sonnet-5-5", None, False, 9_000, None),
        ("claude-sonnet-5", "none", True, 9_000, {"type": "disabled"}),
        ("claude-sonnet-5-5", "none", True, 9_000, {"type": "between_tools"}),
        ("claude-sonnet-4-5", "none", False, 9_000, {"type": "disabled"}),
        ("claude-sonnet-4-5", None, True, 9_000, None),
        ("claude-sonnet-4-5", "medium", False, 32_000, {"type": "enabled", "budget_tokens": 8_192}),
        # The budget is less than the answer, and there is none in an answer that is shorter than the smallest.
        ("kimi-k2", "xhigh", False, 8_000, {"type": "enabled", "budget_tokens": 6_000}),
        ("claude-sonnet-4-5", "low", False, 1_300, None),
    ],
)
def test_effort_reaches_claude_in_the_form_of_its_generation(
    model: str, effort: str | None, shown: bool, max_tokens: int, thinking: Any
) -> None:
    sent = body(asking(model, effort, shown=shown), max_tokens)
    adaptive = bool(effort and thinking and thinking["type"] == "adaptive")
    assert (sent.get("thinking"), sent.get("output_config")) == (thinking, {"effort": effort} if adaptive else None)


def test_budget_is_left_out_of_a_turn_that_began_without_thinking() -> None:
    turn = (*HELLO, CALLED, RESULT)
    assert "thinking" not in body(asking("claude-sonnet-4-5", "high", *turn), 9_000)
    # The next question begins a new turn.
    again = (*turn, AssistantMessage(text="So."), UserMessage(text="And?"))
    assert "thinking" in body(asking("claude-sonnet-4-5", "high", *again), 9_000)
    # Adaptive thinking may begin at any time.
    assert "thinking" in body(asking("claude-opus-4-7", "high", *turn), 9_000)


@pytest.mark.parametrize(
    ("model", "effort", "shown", "expected"),
    [
        ("gemini-2.5-flash", None, True, {"includeThoughts": True}),
        ("gemini-2.5-flash", None, False, None),
        ("gemini-2.0-flash", None, True, None),
        ("gemini-2.5-flash", "none", True, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "medium", True, {"includeThoughts": True, "thinkingBudget": 8_192}),
        ("gemini-3-flash", "minimal", False, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.1-pro-preview", "high", True, {"includeThoughts": True, "thinkingLevel": "HIGH"}),
    ],
)
def test_effort_reaches_gemini_in_the_form_of_its_generation(
    model: str, effort: str | None, shown: bool, expected: Any
) -> None:
    found = config(asking(model, effort, shown=shown)).thinking_config
    assert (found and found.model_dump(mode="json", by_alias=True, exclude_none=True)) == expected


def test_older_models_of_claude_take_sampling_options_and_a_forced_call() -> None:
    sampling = SamplingOptions(temperature=0.2, top_p=0.9, tool_choice="required", reasoning_effort="none")
    assert [problem(model, sampling) for model in ("claude-opus-4-6", "claude-haiku-4-5", "glm-4.6")] == [""] * 3
    newest = SamplingOptions(temperature=1, top_p=1, tool_choice="auto", reasoning_effort="xhigh")
    assert problem("claude-opus-5-5", newest) == ""


@pytest.mark.parametrize(
    ("model", "fields", "error"),
    [
        ("claude-3-5-haiku", {}, "claude-3-5-haiku has no reasoning_effort."),
        (
            "claude-opus-4-6",
            {"reasoning_effort": "xhigh"},
            "claude-opus-4-6 takes the reasoning_effort none, low, medium, high.",
        ),
        (
            "claude-opus-4-6",
            {"temperature": 0.2},
            "claude-opus-4-6 takes no temperature except 1 with a reasoning_effort.",
        ),
        (
            "claude-opus-4-6",
            {"tool_choice": "required"},
            "claude-opus-4-6 takes the tool_choice auto or none with a reasoning_effort.",
        ),
        (
            "claude-sonnet-5-5",
            {"reasoning_effort": None, "temperature": 0.2},
            "claude-sonnet-5-5 takes no temperature except 1.",
        ),
        ("claude-opus-4-7", {"reasoning_effort": None, "top_p": 0.9}, "claude-opus-4-7 takes no top_p except 1."),
        (
            "claude-fable-5-1",
            {"reasoning_effort": None, "tool_choice": "fs.read"},
            "claude-fable-5-1 takes the tool_choice auto or none.",
        ),
        ("gemini-2.0-flash", {}, "gemini-2.0-flash has no reasoning_effort."),
        (
            "gemini-2.5-pro",
            {"reasoning_effort": "none"},
            "gemini-2.5-pro takes the reasoning_effort minimal, low, medium, high.",
        ),
    ],
)
async def test_value_that_a_model_does_not_take_is_a_422_with_the_valid_ones(
    start: Start, model: str, fields: dict[str, Any], error: str
) -> None:
    closed = "http://127.0.0.1:9"
    made: type[Provider] = Gemini if model.startswith("gemini") else Anthropic
    api = await start(made(api_key="k", base_url=closed, default_model=model, timeouts=TIMEOUTS))  # type: ignore[call-arg]
    answer = await api.ask(message="Hi", model=model, **({"reasoning_effort": "low"} | fields))
    assert (answer.status, answer.json()["code"]) == (422, "option_unsupported")
    assert answer.json()["error"] == error


SEPARATED = (
    fake_anthropic.thought(0, "So", " it is.", signature="s"),
    fake_anthropic.said(1, "Yes") + fake_anthropic.thought(2, "Well.", signature="t"),
    fake_anthropic.ended() + fake_anthropic.STOP,
)
THOUGHTS = {
    "claude": SEPARATED,
    "gemini": tuple(
        map(
            fake_gemini.sse,
            (
                fake_gemini.said({"text": "So it is.", "thought": True}),
                fake_gemini.said("Yes", {"text": "\n\nWell.", "thought": True}),
                fake_gemini.said("", finish="STOP"),
            ),
        )
    ),
    "reasoning_content": (
        fake_openai.sse(fake_openai.delta(reasoning_content="So it is.", reasoning="So it is.")),
        fake_openai.said("Yes") + fake_openai.sse(fake_openai.delta(reasoning_content="\n\nWell.", reasoning="No.")),
        fake_openai.finish() + fake_openai.DONE,
    ),
    "think": (
        fake_openai.said("\n<thi", "nk>So it", " is."),
        fake_openai.said("\n\nWell.<", "/think>\n\n", "Yes"),
        fake_openai.finish() + fake_openai.DONE,
    ),
}


@pytest.mark.parametrize("service", THOUGHTS)
async def test_reasoning_arrives_while_the_model_reasons(service: str) -> None:
    gate = asyncio.Event()
    async with fake_service() as fake:
        fake.play(Reply(headers={"Content-Type": "text/event-stream"}, pieces=THOUGHTS[service], gate=gate))
        provider = connected(service, fake)
        stream = provider.stream(asking("m", None))
        assert await anext(stream) == Thought("So it is.")
        gate.set()
        rest = [event async for event in stream]
        await provider.close()
    assert [event.text for event in rest if isinstance(event, Thought)] == ["\n\nWell."]
    assert b"".join(piece for event in rest if isinstance(event, Text) for piece in event.pieces) == b"Yes"
    end = rest[-1]
    assert isinstance(end, Finished)
    assert end.provider_parts
    assert end.provider_parts.reasoning == "So it is.\n\nWell."


def connected(service: str, fake: FakeService) -> Provider:
    if service == "claude":
        return Anthropic(api_key="k", base_url=fake.url, default_model="m", timeouts=TIMEOUTS)
    if service == "gemini":
        return Gemini(api_key="k", base_url=fake.url, default_model="m", timeouts=TIMEOUTS)
    return OpenAI(Endpoint(name="a", base_url=fake.url), TIMEOUTS)
