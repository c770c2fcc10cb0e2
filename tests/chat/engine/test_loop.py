"""Covers `chat.engine.answer`, `chat.engine.budget_port`, `chat.engine.merge`, `chat.engine.tool_calls`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from chat.engine.budget_port import Budget
from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    End,
    Error,
    Reasoning,
    Retry,
    ToolCalled,
    ToolFailed,
    ToolResult,
    Usage,
)
from chat.engine.limits import Limits, Retries
from chat.engine.loop import UNLIMITED, Item, MessageAdded, Plan, Resumption, Suspended, Turn
from chat.engine.messages import AssistantMessage, History, ProviderParts, ToolMessage, UserMessage
from chat.engine.model_port import Finished, ProviderError, SamplingOptions, Text, Thought, TokensUsed, ToolCall
from chat.engine.retry import Candidate
from chat.providers.scripted import Line, Scripted, text
from tools.base import (
    Approval,
    ClientResults,
    ClientWaiting,
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
    """A tool executor that returns each tool's name, except that `bad` fails."""

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
        yield Opened(execution_id=f"e{len(self.ran)}", tool=request.tool, params={})
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
    executor: Echo | None = None,
    resumption: Resumption | None = None,
    budget: Budget = UNLIMITED,
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
        "history": History.of(*plan.pop("messages", (UserMessage(text="Hi"),))),
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
        Plan(**(defaults | plan)),
        executor=executor or Echo(),
        price=_price,
        sleep=_no_sleep,
        budget=budget,
        resumption=resumption,
    )


def _price(provider: str, model: str, used: TokensUsed) -> float | None:
    return used.output_tokens * 0.5 if model == "m0" else None


async def _no_sleep(seconds: float) -> None:
    assert seconds >= 0


async def play(playing: Turn) -> list[Item | Text]:
    """Return all emitted items in order."""
    reported: list[Item | Text] = []
    async for item in playing.run(reported.append):
        reported += [item]
    return reported


def ignore(_: Text) -> None:
    """Ignore text; for tests that are not about tokens."""


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


async def test_answer_ends_completed_with_its_usage_and_cost() -> None:
    items = await play(turn([text("Hel", "lo"), TokensUsed(input_tokens=3, output_tokens=2), STOP]))
    assert [type(item) for item in items] == [Text, Usage, MessageAdded, End]
    assert said(items) == [AssistantMessage(text="Hello")]
    end = last(items)
    assert isinstance(end, End)
    assert (end.reason, end.usage.input_tokens, end.usage.cost_usd) == ("completed", 3, 1.0)


async def test_tools_run_between_answers_and_their_results_go_to_the_model() -> None:
    model = Scripted([text("Look."), call("a"), call("b", 2), CALLS], [text("Done."), STOP])
    candidate = Candidate(provider=model, model="m", context_tokens=10_000, supports_tools=True)
    items = await play(turn(candidates=(candidate,)))
    assert [item.data for item in items if isinstance(item, ToolResult)] == [{"ran": "a"}, {"ran": "b"}]
    assert model.requests[1].messages[1:] == (
        AssistantMessage(text="Look.", tool_calls=(call("a"), call("b", 2))),
        ToolMessage(call_id="c1", name="a", content="ran a", execution_id="e1"),
        ToolMessage(call_id="c2", name="b", content="ran b", execution_id="e2"),
    )
    assert reason(items) == "completed"


async def test_tool_failure_goes_to_the_model_and_the_run_continues() -> None:
    items = await play(turn([call("bad"), CALLS], [text("Sorry."), STOP]))
    (failed,) = [item for item in items if isinstance(item, ToolFailed)]
    assert (failed.code, failed.error, failed.execution_id) == ("failed", "It broke.", "e1")
    message = ToolMessage(call_id="c1", name="bad", content="failed: It broke.", is_error=True, execution_id="e1")
    assert message in said(items)
    assert reason(items) == "completed"


async def test_caller_calls_run_without_a_model_request() -> None:
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
async def test_run_stops_at_each_limit(limits: dict[str, int], ending: str) -> None:
    numbers = {name: getattr(LIMITS, name) for name in LIMITS.__struct_fields__} | limits
    answers = [[text("some"), text("thing"), call("a", step), CALLS] for step in range(8)]
    items = await play(turn(*answers, limits=Limits(**numbers)))
    assert reason(items) == ending
    asked = {c.call_id for message in said(items) if isinstance(message, AssistantMessage) for c in message.tool_calls}
    answered = {message.call_id for message in said(items) if isinstance(message, ToolMessage)}
    assert asked == answered


async def test_finish_reason_length_differs_from_the_output_limit_of_the_run() -> None:
    length = Finished(reason="length")
    assert reason(await play(turn([text("So"), TokensUsed(input_tokens=1, output_tokens=2), length]))) == "length"
    spent = TokensUsed(input_tokens=1, output_tokens=LIMITS.max_output_tokens)
    assert reason(await play(turn([text("So"), spent, length]))) == "max_output"


async def test_tool_call_of_a_truncated_answer_is_not_run() -> None:
    executor = Echo()
    items = await play(turn([text("So"), call("a"), Finished(reason="length")], executor=executor))
    assert executor.ran == []
    assert said(items) == [AssistantMessage(text="So")]


async def test_content_filter_keeps_the_partial_text() -> None:
    items = await play(turn([text("Half"), Finished(reason="content_filter")]))
    assert said(items) == [AssistantMessage(text="Half")]
    assert reason(items) == "content_filter"


async def test_retryable_failure_is_retried_then_falls_back() -> None:
    items = await play(turn([DOWN], [DOWN], fallback=Scripted([text("Here."), STOP])))
    retries = [item for item in items if isinstance(item, Retry)]
    assert [(item.attempt, item.error) for item in retries] == [(1, "It is down."), (2, "It is down.")]
    assert said(items) == [AssistantMessage(text="Here.")]
    assert reason(items) == "completed"


async def test_longer_wait_than_a_run_makes_is_not_waited_for() -> None:
    busy = ProviderError("Later.", code="provider_rate_limited", retryable=True, retry_after=3_600)
    error = last(await play(turn([busy], [text("never"), STOP])))
    assert (isinstance(error, Error), getattr(error, "code", "")) == (True, "provider_rate_limited")
    items = await play(turn([busy], [text("never"), STOP], fallback=Scripted([text("Here."), STOP])))
    assert said(items) == [AssistantMessage(text="Here.")]


async def test_history_that_is_too_long_for_the_service_is_shortened() -> None:
    long = ProviderError("Too long.", code="context_too_long", retryable=False)
    model = Scripted([long], [long], [call("a"), CALLS], [text("So."), STOP])
    candidate = Candidate(provider=model, model="m", context_tokens=10_000, supports_tools=False)
    old = [message for _ in range(4) for message in (UserMessage(text="x" * 999), AssistantMessage(text="y"))]
    items = await play(turn(candidates=(candidate,), messages=(*old, UserMessage(text="Now?"))))
    assert [len(request.messages) for request in model.requests] == [9, 3, 1, 4]
    assert model.requests[2].messages == (UserMessage(text="Now?"),)
    assert reason(items) == "completed"


async def test_newest_message_that_is_too_long_is_an_error() -> None:
    long = ProviderError("Too long.", code="context_too_long", retryable=False)
    error = last(await play(turn([long], [text("never"), STOP])))
    assert isinstance(error, Error)
    assert error.code == "context_too_long"


async def test_answer_of_reasoning_only_is_kept_with_a_warning() -> None:
    parts = ProviderParts(provider="p", model="m", data={}, reasoning="Hm.")
    items = await play(turn([Finished(reason="stop", provider_parts=parts)]))
    end = last(items)
    assert isinstance(end, End)
    assert (end.reason, "no text" in str(end.warning)) == ("completed", True)
    assert [message.reasoning for message in said(items)] == ["Hm."]


async def test_reasoning_is_streamed_and_an_answer_that_fails_after_it_begins_again() -> None:
    parts = ProviderParts(provider="p", model="m", data={}, reasoning="So.Yes.")
    good = [Thought("So."), text("It"), Thought("Yes."), text(" is."), Finished(reason="stop", provider_parts=parts)]
    items = await play(turn([Thought("Hm"), DOWN], good, shows_reasoning=True))
    kinds = [Reasoning, Retry, Reasoning, Text, Reasoning, Text, Usage, MessageAdded, End]
    assert [type(item) for item in items] == kinds
    assert [item.text for item in items if isinstance(item, Reasoning)] == ["Hm", "So.", "Yes."]
    assert [message.reasoning for message in said(items)] == ["So.Yes."]
    hidden = await play(turn([Thought("Hm"), DOWN], good))
    assert [type(item) for item in hidden] == [kind for kind in kinds if kind is not Reasoning]


@pytest.mark.parametrize("begun", [[], [text("It")]], ids=["before the text", "within the text"])
async def test_reasoning_of_an_answer_that_was_cut_off_is_kept_and_counted(begun: list[Line]) -> None:
    limits = msgspec.structs.replace(LIMITS, max_steps=1)
    answer = [Thought("Let me see. "), *begun, Thought("Well"), DOWN]
    items = await play(turn(answer, answer, shows_reasoning=True, limits=limits))
    assert [message.reasoning for message in said(items)] == ["Let me see. Well"]
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert usage.estimated
    assert usage.output_tokens > 3


async def test_provider_that_answered_stays_the_provider_of_the_run() -> None:
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
async def test_permanent_failure_ends_the_run_with_an_error(answer: Sequence[Line]) -> None:
    items = await play(turn(answer, [text("never"), STOP], fallback=Scripted([text("never"), STOP])))
    error = last(items)
    assert isinstance(error, Error)
    assert error.code == "provider_unavailable"
    assert not any(isinstance(item, Retry) for item in items)
    assert any(isinstance(item, Usage) for item in items) is isinstance(answer[0], Text)


async def test_answer_without_a_finish_reason_is_a_protocol_error() -> None:
    error = last(await play(turn([text("Half")])))
    assert isinstance(error, Error)
    assert error.code == "provider_protocol"


async def test_missing_usage_is_estimated() -> None:
    items = await play(turn([text("One of three", "bytes each"), STOP]))
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert usage.estimated
    assert usage.output_tokens == 8


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        ([TokensUsed(input_tokens=5, output_tokens=0)], (5, 2, True)),
        ([TokensUsed(input_tokens=0, output_tokens=7)], (5, 7, True)),
        ([TokensUsed(input_tokens=-5, output_tokens=-1)], (5, 2, True)),
        ([TokensUsed(input_tokens=6, output_tokens=7), TokensUsed(input_tokens=0, output_tokens=0)], (6, 7, False)),
    ],
)
async def test_count_of_zero_is_an_unknown_count(reported: list[TokensUsed], counted: tuple[int, ...]) -> None:
    items = await play(turn([text("Hello"), *reported, STOP]))
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == counted


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (TokensUsed(input_tokens=5, output_tokens=1, cached_tokens=-9, reasoning_tokens=-9), (5, 1, 0, 0)),
        (TokensUsed(input_tokens=10**400, output_tokens=3, cached_tokens=10**401), (2**31 - 1, 3, 2**31 - 1, 0)),
        (TokensUsed(input_tokens=7, output_tokens=5, cached_tokens=8, reasoning_tokens=6), (7, 5, 7, 5)),
    ],
)
async def test_implausible_token_counts_are_clamped(reported: TokensUsed, counted: tuple[int, ...]) -> None:
    items = await play(turn([text("Hello"), reported, STOP]))
    (usage,) = [item for item in items if isinstance(item, Usage)]
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == counted
    assert not usage.estimated
    if reported.output_tokens < LIMITS.max_output_tokens:
        assert reason(items) == "completed"


async def test_partial_text_is_emitted_after_a_stop() -> None:
    texts: asyncio.Queue[Text] = asyncio.Queue()
    playing = turn([text("Half"), asyncio.Event().wait, text("more"), STOP])
    async with aclosing(playing.run(texts.put_nowait)) as items:
        waiting = asyncio.ensure_future(anext(items))
        assert await texts.get() == text("Half")
        waiting.cancel()
        await asyncio.wait([waiting])
    unfinished = list(playing.unfinished_events())
    assert said(unfinished) == [AssistantMessage(text="Half")]
    assert playing.end("cancelled").usage.estimated
    assert list(playing.unfinished_events()) == []


async def test_running_tool_is_reported_as_cancelled_after_a_stop() -> None:
    playing = turn([call("a"), CALLS])
    async with aclosing(playing.run(ignore)) as items:
        async for item in items:
            if isinstance(item, ToolCalled):
                break
    failed, answer = playing.unfinished_events()
    assert isinstance(failed, ToolFailed)
    assert (failed.code, failed.execution_id) == ("cancelled", "e1")
    assert isinstance(answer, MessageAdded)


class Slow(Echo):
    """A tool executor whose calls finish only when the given number of them run."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.gate = asyncio.Barrier(together)

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        async for step in super().execute(call):
            if isinstance(step, Output):
                await asyncio.wait_for(self.gate.wait(), 5)
            yield step


async def test_read_only_calls_run_concurrently_and_are_answered_in_order() -> None:
    executor = Slow(3)
    calls = [call(f"read.{number}", number) for number in (1, 2, 3)]
    items = await play(turn([*calls, CALLS], [text("Done."), STOP], executor=executor))
    answers = [message.call_id for message in said(items) if isinstance(message, ToolMessage)]
    assert answers == ["c1", "c2", "c3"]
    assert reason(items) == "completed"


async def test_writing_calls_run_in_order_between_read_only_ones() -> None:
    executor = Echo()
    calls = [call("read.1", 1), call("read.2", 2), call("write", 3), call("read.3", 4)]
    items = await play(turn([*calls, CALLS], [text("Done."), STOP], executor=executor))
    assert [request.tool for request in executor.ran][2:] == ["write", "read.3"]
    # The call that ended the first batch is inspected again when its turn comes.
    assert len(executor.inspected) == len(calls) + 1
    called = [item for item in items if isinstance(item, ToolCalled | ToolResult)]
    write = next(index for index, item in enumerate(called) if item.tool == "write")
    assert all(item.tool in {"read.1", "read.2"} for item in called[:write])


async def test_concurrent_calls_are_all_answered_after_a_stop() -> None:
    playing = turn([call("read.1", 1), call("read.2", 2), CALLS], executor=Slow(3))
    async with aclosing(playing.run(ignore)) as items:
        opened = 0
        async for item in items:
            opened += isinstance(item, ToolCalled)
            if opened == 2:
                break
    unfinished = list(playing.unfinished_events())
    assert [item.code for item in unfinished if isinstance(item, ToolFailed)] == ["cancelled"] * 2
    assert [message.call_id for message in said(unfinished)] == ["c1", "c2"]


async def test_repeated_failing_call_ends_the_run() -> None:
    answers = [[call("bad", number), CALLS] for number in range(8)]
    items = await play(turn(*answers))
    assert reason(items) == "repeated_call"
    assert sum(isinstance(item, ToolFailed) for item in items) == LIMITS.max_repeats


async def test_failing_call_with_other_arguments_is_not_a_repeat() -> None:
    calls = [ToolCall(call_id=f"c{number}", name="bad", arguments=f'{{"n": {number}}}') for number in range(5)]
    items = await play(turn(*[[one, CALLS] for one in calls], [text("I give up."), STOP]))
    assert reason(items) == "completed"


class Guarded(Echo):
    """A tool executor that asks before it runs `write`."""

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        if call.request.tool != "write":
            async for step in super().execute(call):
                yield step
            return
        yield Opened(execution_id="w1", tool="write", params={})
        yield Waiting(execution_id="w1", params={}, params_sha256="x", expires_at="soon")

    async def resume(self, call: InspectedCall, approval: Approval) -> AsyncGenerator[Progress]:
        self.ran.append(call.request)
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        if approval.decision == "approved":
            yield Succeeded(data={}, content="written")
        else:
            yield Failed(error="No.", code="cancelled" if approval.decision == "cancelled" else "denied")


async def suspended(executor: Guarded) -> Suspended:
    calls = [call("a", 1), call("write", 2), call("b", 3), CALLS]
    items = await play(turn([text("Look."), *calls], executor=executor))
    assert isinstance(items[-2], ApprovalRequired)
    assert isinstance(items[-1], Suspended)
    return items[-1]


async def test_suspended_turn_is_serialized_and_resumed_by_another_turn() -> None:
    executor = Guarded()
    waits = msgspec.json.decode(msgspec.json.encode(await suspended(executor)), type=Suspended)
    assert [request.tool for request in waits.requests] == ["write", "b"]
    approval = Approval(execution_id="w1", decision="approved", params_sha256="x")
    items = await play(
        turn([text("Done."), STOP], executor=executor, resumption=Resumption(suspended=waits, approval=approval))
    )
    assert [request.tool for request in executor.ran] == ["a", "write", "b"]
    assert isinstance(items[0], ApprovalResolved)
    assert reason(items) == "completed"
    end = last(items)
    assert isinstance(end, End)
    assert end.usage.output_tokens > 1, "what was used before the wait is counted"


async def test_turn_cancelled_while_suspended_ends_cancelled() -> None:
    executor = Guarded()
    waits = await suspended(executor)
    approval = Approval(execution_id="w1", decision="cancelled", params_sha256="x")
    items = await play(
        turn([text("never"), STOP], executor=executor, resumption=Resumption(suspended=waits, approval=approval))
    )
    assert reason(items) == "cancelled"
    assert [request.tool for request in executor.ran] == ["a", "write"]


async def test_model_without_tool_support_is_offered_no_tools() -> None:
    model = Scripted([text("Hi"), STOP])
    candidate = Candidate(provider=model, model="m", context_tokens=10_000, supports_tools=False)
    await play(turn(candidates=(candidate,), tools=(ToolSpec(name="a", description="", parameters={}),)))
    assert model.requests[0].tools == ()


async def test_run_whose_provider_is_gone_ends_with_an_error() -> None:
    items = await play(turn(candidates=()))
    assert getattr(last(items), "code", "") == "provider_unavailable"


class WithClient(Echo):
    """A tool executor whose tools `ask` and `bad_ask` are the client's. The second fails at once."""

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(name=name, description="", parameters={}, by_client=True) for name in ("ask", "bad_ask"))

    async def execute(self, call: InspectedCall) -> AsyncGenerator[Progress]:
        if "ask" not in call.request.tool:
            async for step in super().execute(call):
                yield step
            return
        self.ran.append(call.request)
        execution_id = f"e{len(self.ran)}"
        yield Opened(execution_id=execution_id, tool=call.request.tool, params={})
        if call.request.tool == "bad_ask":
            yield Failed(error="No.", code="invalid_params")
            return
        yield ClientWaiting(execution_id=execution_id, params={}, call_id=call.request.call_id, expires_at="soon")


def given(waits: Suspended, *, cancelled: bool = False) -> Resumption:
    outcomes = tuple(Succeeded(data=1, content="1") for _ in waits.client_calls)
    return Resumption(suspended=waits, results=ClientResults(outcomes=outcomes, cancelled=cancelled))


async def asked(executor: WithClient, *calls: ToolCall, **plan: Any) -> Suspended:
    waits = (await play(turn([*calls, CALLS], executor=executor, **plan)))[-1]
    assert isinstance(waits, Suspended)
    return msgspec.json.decode(msgspec.json.encode(waits), type=Suspended)


async def test_client_is_asked_last_for_all_calls_of_an_answer_together() -> None:
    executor = WithClient()
    waits = await asked(executor, call("ask", 1), call("a", 2), call("bad_ask", 3), call("ask", 4), call("read", 5))
    assert [request.tool for request in executor.ran] == ["a", "read", "ask", "bad_ask", "ask"]
    assert [one.request.call_id for one in waits.client_calls] == ["c1", "c4"]
    assert (waits.requests, waits.tally.calls) == ((), 5)
    items = await play(turn([text("Done."), STOP], executor=executor, resumption=given(waits)))
    assert [type(item) for item in items[:4]] == [ToolResult, ToolResult, MessageAdded, MessageAdded]
    assert reason(items) == "completed"


async def test_cancelled_turn_takes_the_results_and_asks_no_model() -> None:
    executor = WithClient()
    waits = await asked(executor, call("ask", 1))
    items = await play(turn(executor=executor, resumption=given(waits, cancelled=True)))
    assert isinstance(items[0], ToolResult)
    assert reason(items) == "cancelled"


async def test_client_calls_count_towards_the_limit_of_tool_calls() -> None:
    executor = WithClient()
    limits = msgspec.structs.replace(LIMITS, max_tool_calls=2)
    waits = await asked(executor, *(call("ask", number) for number in range(3)), limits=limits)
    assert (len(waits.client_calls), len(waits.requests)) == (2, 1)
    items = await play(turn(executor=executor, resumption=given(waits), limits=limits))
    assert reason(items) == "max_tool_calls"
    assert sum(isinstance(item, MessageAdded) for item in items) == 3


async def test_repeated_failing_call_closes_the_client_calls_beside_it() -> None:
    executor = WithClient()
    bad = [call("bad_ask", number) for number in range(LIMITS.max_repeats)]
    items = await play(turn([*bad, call("ask", 9), CALLS], executor=executor))
    assert reason(items) == "repeated_call"
    closed = items[-3:-1]
    assert isinstance(closed[0], ToolFailed)
    assert closed[0].code == "cancelled"
    assert isinstance(closed[1], MessageAdded)
