import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    End,
    Error,
    Retry,
    ToolCalled,
    ToolFailed,
    ToolResult,
    Usage,
)
from chat.engine.limits import Limits, Retries
from chat.engine.loop import Item, MessageAdded, Plan, Resumption, Suspended, Turn
from chat.engine.messages import AssistantMessage, ToolMessage, UserMessage
from chat.engine.model_port import Finished, ProviderError, SamplingOptions, Text, TokensUsed, ToolCall
from chat.engine.retry import Candidate
from chat.providers.scripted import Line, Scripted, text
from tools.base import (
    Approval,
    Failed,
    InspectedCall,
    Opened,
    Output,
    Progress,
    Resolved,
    Succeeded,
    ToolRequest,
    ToolSpec,
    Waiting,
)

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
LIMITS = Limits(max_seconds=60, max_steps=8, max_tool_calls=8, max_output_tokens=1_000, max_output_bytes=10_000)
DOWN = ProviderError("It is down.", code="provider_unavailable", retryable=True)


class Echo:
    """A door behind which every tool gives back its name, but `bad` fails."""

    def __init__(self) -> None:
        self.ran: list[ToolRequest] = []
        self.inspected: list[ToolRequest] = []

    def specs(self) -> tuple[ToolSpec, ...]:
        return ()

    def inspect(self, request: ToolRequest) -> InspectedCall:
        self.inspected.append(request)
        return InspectedCall(request=request, only_reads=request.tool.startswith("read"))

    async def resume(self, call: InspectedCall, approval: Approval) -> AsyncGenerator[Progress]:
        raise NotImplementedError
        yield

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        request = call.request
        self.ran.append(request)
        yield Opened(execution_id=f"e{len(self.ran)}", params={})
        yield Output(stream="stdout", text="working")
        if request.tool == "bad":
            yield Failed(error="It broke.", code="failed")
        else:
            yield Succeeded(data={"ran": request.tool}, content=f"ran {request.tool}")


def call(name: str, number: int = 1) -> ToolCall:
    return ToolCall(call_id=f"c{number}", name=name, arguments="{}")


def turn(
    *answers: Sequence[Line],
    fallback: Scripted | None = None,
    door: Echo | None = None,
    resumption: Resumption | None = None,
    **plan: Any,
) -> Turn:
    providers = [Scripted(*answers), *([fallback] if fallback else [])]
    candidates = tuple(
        Candidate(provider=provider, model=f"m{index}", context_tokens=10_000, supports_tools=True)
        for index, provider in enumerate(providers)
    )
    defaults: dict[str, Any] = {
        "run_id": "r",
        "session_id": "s",
        "messages": (UserMessage(text="Hi"),),
        "caller_calls": (),
        "asks_model": True,
        "candidates": candidates,
        "instructions": "",
        "tools": (),
        "sampling": SamplingOptions(),
        "limits": LIMITS,
        "retries": Retries(attempts=1, first_delay=0),
    }
    return Turn(
        Plan(**(defaults | plan)), executor=door or Echo(), price=_price, sleep=_no_sleep, resumption=resumption
    )


def _price(provider: str, model: str, used: TokensUsed) -> float | None:
    return used.output_tokens * 0.5 if model == "m0" else None


async def _no_sleep(seconds: float) -> None:
    assert seconds >= 0


async def play(playing: Turn) -> list[Item | Text]:
    """All that is told, in its order."""
    told: list[Item | Text] = []
    async for item in playing.run(told.append):
        told += [item]
    return told


def unheard(_: Text) -> None:
    """For what is not about tokens."""


def last(items: list[Item | Text]) -> End | Error:
    end = items[-1]
    assert isinstance(end, End | Error)
    assert not any(isinstance(item, End | Error) for item in items[:-1])
    return end


def reason(items: list[Item | Text]) -> str:
    end = last(items)
    assert isinstance(end, End)
    return end.reason


def said(items: list[Item | Text]) -> list[Any]:
    return [item.message for item in items if isinstance(item, MessageAdded)]


async def test_an_answer_ends_completed_with_its_usage_and_cost() -> None:
    items = await play(turn([text("Hel", "lo"), TokensUsed(input_tokens=3, output_tokens=2), STOP]))
    assert [type(item) for item in items] == [Text, Usage, MessageAdded, End]
    assert said(items) == [AssistantMessage(text="Hello")]
    end = last(items)
    assert isinstance(end, End)
    assert (end.reason, end.usage.input_tokens, end.usage.cost_usd) == ("completed", 3, 1.0)


async def test_tools_run_between_answers_and_their_results_are_asked_about() -> None:
    model = Scripted([text("Look."), call("a"), call("b", 2), CALLS], [text("Done."), STOP])
    candidate = Candidate(provider=model, model="m", context_tokens=10_000, supports_tools=True)
    items = await play(turn(candidates=(candidate,)))
    assert [item.data for item in items if isinstance(item, ToolResult)] == [{"ran": "a"}, {"ran": "b"}]
    assert model.requests[1].messages[1:] == (
        AssistantMessage(text="Look.", tool_calls=(call("a"), call("b", 2))),
        ToolMessage(call_id="c1", name="a", content="ran a"),
        ToolMessage(call_id="c2", name="b", content="ran b"),
    )
    assert reason(items) == "completed"


async def test_a_failing_tool_is_told_to_the_model_and_the_run_goes_on() -> None:
    items = await play(turn([call("bad"), CALLS], [text("Sorry."), STOP]))
    (failed,) = [item for item in items if isinstance(item, ToolFailed)]
    assert (failed.code, failed.error, failed.execution_id) == ("failed", "It broke.", "e1")
    assert ToolMessage(call_id="c1", name="bad", content="failed: It broke.", is_error=True) in said(items)
    assert reason(items) == "completed"


async def test_a_callers_tools_run_alone_where_nothing_is_asked() -> None:
    wanted = ToolRequest(tool="a", arguments='{"x": 1}', source="caller")
    items = await play(turn(caller_calls=(wanted,), asks_model=False, messages=()))
    assert [item.source for item in items if isinstance(item, ToolCalled)] == ["caller"]
    assert reason(items) == "completed"


@pytest.mark.parametrize(
    ("limits", "ending"),
    [
        ({"max_steps": 2}, "max_steps"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"max_output_tokens": 3}, "max_output"),
        ({"max_output_bytes": 10}, "max_output"),
    ],
)
async def test_a_run_stops_at_each_limit(limits: dict[str, int], ending: str) -> None:
    numbers = {name: getattr(LIMITS, name) for name in LIMITS.__struct_fields__} | limits
    answers = [[text("some"), text("thing"), call("a", step), CALLS] for step in range(8)]
    items = await play(turn(*answers, limits=Limits(**numbers)))
    assert reason(items) == ending
    asked = {c.call_id for message in said(items) if isinstance(message, AssistantMessage) for c in message.tool_calls}
    answered = {message.call_id for message in said(items) if isinstance(message, ToolMessage)}
    assert asked == answered


async def test_a_length_is_told_apart_from_the_runs_own_limit() -> None:
    length = Finished(reason="length")
    assert reason(await play(turn([text("So"), TokensUsed(input_tokens=1, output_tokens=2), length]))) == "length"
    spent = TokensUsed(input_tokens=1, output_tokens=LIMITS.max_output_tokens)
    assert reason(await play(turn([text("So"), spent, length]))) == "max_output"


async def test_half_a_tool_call_is_not_run() -> None:
    door = Echo()
    items = await play(turn([text("So"), call("a"), Finished(reason="length")], door=door))
    assert door.ran == []
    assert said(items) == [AssistantMessage(text="So")]


async def test_a_content_filter_keeps_what_was_said() -> None:
    items = await play(turn([text("Half"), Finished(reason="content_filter")]))
    assert said(items) == [AssistantMessage(text="Half")]
    assert reason(items) == "content_filter"


async def test_a_retryable_failure_is_tried_again_then_handed_on() -> None:
    items = await play(turn([DOWN], [DOWN], fallback=Scripted([text("Here."), STOP])))
    retries = [item for item in items if isinstance(item, Retry)]
    assert [(item.attempt, item.error) for item in retries] == [(1, "It is down."), (2, "It is down.")]
    assert said(items) == [AssistantMessage(text="Here.")]
    assert reason(items) == "completed"


async def test_a_provider_that_answered_is_the_one_that_goes_on() -> None:
    second = Scripted([call("a"), CALLS], [text("Done."), STOP])
    items = await play(turn([DOWN], [DOWN], fallback=second))
    assert len(second.requests) == 2
    assert reason(items) == "completed"


@pytest.mark.parametrize(
    "answer",
    [
        [text("Half"), DOWN],
        [ProviderError("No.", code="provider_unavailable", retryable=False)],
    ],
    ids=["after the first token", "not retryable"],
)
async def test_a_failure_that_cannot_be_mended_is_an_error(answer: Sequence[Line]) -> None:
    items = await play(turn(answer, [text("never"), STOP], fallback=Scripted([text("never"), STOP])))
    error = last(items)
    assert isinstance(error, Error)
    assert error.code == "provider_unavailable"
    assert not any(isinstance(item, Retry) for item in items)
    assert any(isinstance(item, Usage) for item in items) is isinstance(answer[0], Text)


async def test_an_answer_without_a_reason_is_a_broken_protocol() -> None:
    error = last(await play(turn([text("Half")])))
    assert isinstance(error, Error)
    assert error.code == "provider_protocol"


async def test_usage_that_nobody_told_is_estimated() -> None:
    items = await play(turn([text("One of three", "bytes each"), STOP]))
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert usage.estimated
    assert usage.output_tokens == 8


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (TokensUsed(input_tokens=-5, output_tokens=-1, cached_tokens=-9, reasoning_tokens=-9), (0, 0, 0, 0)),
        (TokensUsed(input_tokens=10**400, output_tokens=3, cached_tokens=10**401), (2**31 - 1, 3, 2**31 - 1, 0)),
        (TokensUsed(input_tokens=7, output_tokens=5, cached_tokens=8, reasoning_tokens=6), (7, 5, 7, 5)),
    ],
)
async def test_tokens_that_there_cannot_be_are_not_counted(told: TokensUsed, counted: tuple[int, ...]) -> None:
    items = await play(turn([text("Hello"), told, STOP]))
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == counted
    assert not usage.estimated
    if told.output_tokens < LIMITS.max_output_tokens:
        assert reason(items) == "completed"


async def test_what_a_stop_cut_off_is_still_told() -> None:
    heard: asyncio.Queue[Text] = asyncio.Queue()
    playing = turn([text("Half"), asyncio.Event().wait, text("more"), STOP])
    async with aclosing(playing.run(heard.put_nowait)) as items:
        waiting = asyncio.ensure_future(anext(items))
        assert await heard.get() == text("Half")
        waiting.cancel()
        await asyncio.wait([waiting])
    remains = list(playing.remains())
    assert said(remains) == [AssistantMessage(text="Half")]
    assert playing.end("cancelled").usage.estimated
    assert list(playing.remains()) == []


async def test_a_tool_that_a_stop_cut_off_is_answered_as_cancelled() -> None:
    playing = turn([call("a"), CALLS])
    async with aclosing(playing.run(unheard)) as items:
        async for item in items:
            if isinstance(item, ToolCalled):
                break
    failed, answer = playing.remains()
    assert isinstance(failed, ToolFailed)
    assert (failed.code, failed.execution_id) == ("cancelled", "e1")
    assert isinstance(answer, MessageAdded)


class Slow(Echo):
    """A door behind which nothing ends before as many run as were asked for."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.gate = asyncio.Barrier(together)

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        async for step in super().execute(call):
            if isinstance(step, Output):
                await asyncio.wait_for(self.gate.wait(), 5)
            yield step


async def test_reading_calls_run_together_and_are_answered_in_order() -> None:
    door = Slow(3)
    calls = [call(f"read.{number}", number) for number in (1, 2, 3)]
    items = await play(turn([*calls, CALLS], [text("Done."), STOP], door=door))
    answers = [message.call_id for message in said(items) if isinstance(message, ToolMessage)]
    assert answers == ["c1", "c2", "c3"]
    assert reason(items) == "completed"


async def test_writing_calls_run_in_order_between_reading_ones() -> None:
    door = Echo()
    calls = [call("read.1", 1), call("read.2", 2), call("write", 3), call("read.3", 4)]
    items = await play(turn([*calls, CALLS], [text("Done."), STOP], door=door))
    assert [request.tool for request in door.ran][2:] == ["write", "read.3"]
    assert len(door.inspected) == len(calls)
    called = [item for item in items if isinstance(item, ToolCalled | ToolResult)]
    write = next(index for index, item in enumerate(called) if item.tool == "write")
    assert all(item.tool in {"read.1", "read.2"} for item in called[:write])


async def test_calls_that_a_stop_cut_off_together_are_all_answered() -> None:
    playing = turn([call("read.1", 1), call("read.2", 2), CALLS], door=Slow(3))
    async with aclosing(playing.run(unheard)) as items:
        opened = 0
        async for item in items:
            opened += isinstance(item, ToolCalled)
            if opened == 2:
                break
    remains = list(playing.remains())
    assert [item.code for item in remains if isinstance(item, ToolFailed)] == ["cancelled"] * 2
    assert [message.call_id for message in said(remains)] == ["c1", "c2"]


async def test_a_call_that_fails_again_and_again_ends_the_run() -> None:
    answers = [[call("bad", number), CALLS] for number in range(8)]
    items = await play(turn(*answers))
    assert reason(items) == "repeated_call"
    assert sum(isinstance(item, ToolFailed) for item in items) == LIMITS.max_repeats


async def test_a_call_that_fails_with_other_arguments_is_another_call() -> None:
    calls = [ToolCall(call_id=f"c{number}", name="bad", arguments=f'{{"n": {number}}}') for number in range(5)]
    items = await play(turn(*[[one, CALLS] for one in calls], [text("I give up."), STOP]))
    assert reason(items) == "completed"


class Guarded(Echo):
    """A door that asks before it runs `write`."""

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        if call.request.tool != "write":
            async for step in super().execute(call):
                yield step
            return
        yield Opened(execution_id="w1", params={})
        yield Waiting(execution_id="w1", params={}, params_sha256="x", expires_at="soon")

    async def resume(self, call: InspectedCall, approval: Approval) -> AsyncGenerator[Progress]:
        self.ran.append(call.request)
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        if approval.decision == "approved":
            yield Succeeded(data={}, content="written")
        else:
            yield Failed(error="No.", code="cancelled" if approval.decision == "cancelled" else "denied")


async def suspended(door: Guarded) -> Suspended:
    calls = [call("a", 1), call("write", 2), call("b", 3), CALLS]
    items = await play(turn([text("Look."), *calls], door=door))
    assert isinstance(items[-2], ApprovalRequired)
    assert isinstance(items[-1], Suspended)
    return items[-1]


async def test_a_turn_that_waits_is_a_value_that_another_goes_on_from() -> None:
    door = Guarded()
    waits = msgspec.json.decode(msgspec.json.encode(await suspended(door)), type=Suspended)
    assert [request.tool for request in waits.requests] == ["write", "b"]
    approval = Approval(execution_id="w1", decision="approved", params_sha256="x")
    items = await play(
        turn([text("Done."), STOP], door=door, resumption=Resumption(suspended=waits, approval=approval))
    )
    assert [request.tool for request in door.ran] == ["a", "write", "b"]
    assert isinstance(items[0], ApprovalResolved)
    assert reason(items) == "completed"
    end = last(items)
    assert isinstance(end, End)
    assert end.usage.output_tokens > 1, "what was used before the wait is counted"


async def test_a_turn_that_was_cancelled_while_it_waited_ends_so() -> None:
    door = Guarded()
    waits = await suspended(door)
    approval = Approval(execution_id="w1", decision="cancelled", params_sha256="x")
    items = await play(
        turn([text("never"), STOP], door=door, resumption=Resumption(suspended=waits, approval=approval))
    )
    assert reason(items) == "cancelled"
    assert [request.tool for request in door.ran] == ["a", "write"]


async def test_a_model_that_takes_no_tools_is_offered_none() -> None:
    model = Scripted([text("Hi"), STOP])
    candidate = Candidate(provider=model, model="m", context_tokens=10_000, supports_tools=False)
    await play(turn(candidates=(candidate,), tools=(ToolSpec(name="a", description="", parameters={}),)))
    assert model.requests[0].tools == ()
