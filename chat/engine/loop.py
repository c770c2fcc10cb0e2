"""The one loop of the product: ask the model, run the tools it calls, ask again, until it stops or meets a limit.

A turn yields events and `MessageAdded` items; tokens, of which there are many, go to a callback. The last item is
`End` or `Error`, or `Suspended` if a call waits for an approval: a later turn resumes from it. The loop knows no
clock, no storage and no network: models, tools, prices and sleep are passed in.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from chat.engine.answer import Answer, Price
from chat.engine.budget_port import Budget, UnlimitedBudget
from chat.engine.events import End, EndReason, Error, Event, Retry, TotalUsage, Usage
from chat.engine.limits import Limits, Retries
from chat.engine.messages import Message, ToolCall, ToolMessage
from chat.engine.model_port import CompletionEvent, FinishReason, ProviderError, SamplingOptions, Text
from chat.engine.retry import Asked, Candidate, Question, Sleep, attempt
from chat.engine.token_estimate import Count, text_tokens
from chat.engine.tool_calls import Calls, LimitReached, NeedsApproval, Tally, ToolEvent
from chat.engine.transcript import add_usage
from tools.base import Approval, ToolPort, ToolRequest, ToolSpec


class MessageAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A message is complete, and part of the conversation from now on.

    An assistant's comes with who wrote it, what it cost, and why it ended.
    """

    message: Message
    candidate: Candidate | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a turn needs to know: what was said, who may answer, how far it may go."""

    run_id: str
    session_id: str | None
    messages: tuple[Message, ...]
    caller_calls: tuple[ToolRequest, ...]
    asks_model: bool
    candidates: tuple[Candidate, ...]
    instructions: str
    tools: tuple[ToolSpec, ...]
    sampling: SamplingOptions
    limits: Limits
    retries: Retries


class Suspended(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that waits, as a value: all that it needs, beside its plan and its messages, to go on.

    The first of the `requests` awaits an approval as execution `execution_id`.
    """

    requests: tuple[ToolRequest, ...]
    execution_id: str
    asks_model: bool
    steps: int
    output_bytes: int
    usage: TotalUsage
    tally: Tally


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """What a suspended turn goes on from."""

    suspended: Suspended
    approval: Approval


Item = Event | MessageAdded | Suspended
Hear = Callable[[Text], None]

OPEN = UnlimitedBudget()


class Turn:
    """One run of the loop; `usage` is what it has cost so far."""

    def __init__(
        self,
        plan: Plan,
        *,
        executor: ToolPort[Any],
        price: Price,
        sleep: Sleep,
        budget: Budget = OPEN,
        count: Count = text_tokens,
        resumption: Resumption | None = None,
    ) -> None:
        before = resumption.suspended if resumption else None
        self._plan = plan
        self._price = price
        self._sleep = sleep
        self._budget = budget
        self._count = count
        self._resumption = resumption
        self._calls = Calls(executor, plan.limits, before.tally if before else Tally())
        self._messages = list(plan.messages)
        self._candidates = plan.candidates
        self.usage = before.usage if before else TotalUsage()
        self._steps = before.steps if before else 0
        self._output_bytes = before.output_bytes if before else 0
        self._answer: Answer | None = None
        self._requests: tuple[ToolRequest, ...] = ()

    def first_call(self) -> tuple[Asked, int]:
        """What the first candidate is asked, if no tool is called before, and the most tokens that it may say."""
        first = self._candidates[0]
        return Asked(first, self._question().to(first)), self._output_left()

    async def run(self, hear: Hear) -> AsyncGenerator[Item]:
        """Yields all that happens, but for tokens, with which `hear` is called: between two items, in their order.

        Closing it stops the model and the tools. Raises only what is a fault of our own.
        """
        reason: EndReason = "completed"
        failure: Error | None = None
        try:
            async with aclosing(self._loop(hear)) as items:
                async for item in items:
                    yield item
        except NeedsApproval as waits:
            yield self._suspended(waits)
            return
        except LimitReached as limit:
            reason = limit.reason
            for told in limit.told:
                yield told
        except ProviderError as error:
            failure = Error(error=str(error), code=error.code, retryable=error.retryable)
            self._forget_refused()
        for item in self.remains():
            yield item
        yield failure or self.end(reason)

    def remains(self) -> Iterator[Item]:
        """What a turn that was stopped midway still has to tell: open calls' failures, a partial answer, usage.

        A call that was on its way is taken to have cost what it asked, whether or not anything came back.
        """
        yield from map(self._take, self._calls.remains())
        if self._answer is not None:
            yield from self._close_answer(self._answer)

    def _forget_refused(self) -> None:
        """A request that was refused outright has cost nothing."""
        if self._answer is not None and not self._answer.has_begun:
            self._answer = None

    def end(self, reason: EndReason) -> End:
        return End(reason=reason, run_id=self._plan.run_id, session_id=self._plan.session_id, usage=self.usage)

    async def _loop(self, hear: Hear) -> AsyncGenerator[Item]:
        """Tools and model in turn, until the model calls no more."""
        requests, asks = self._plan.caller_calls, self._plan.asks_model
        if self._resumption is not None:
            waited, *others = self._resumption.suspended.requests
            requests = tuple(others)
            async with aclosing(self._calls.resume(waited, self._resumption.approval)) as told:
                async for item in told:
                    yield self._take(item)
        while True:
            async with aclosing(self._calls.run(requests)) as told:
                async for item in told:
                    yield self._take(item)
            if not asks:
                return
            async with aclosing(self._ask(hear)) as answered:
                async for event in answered:
                    yield event
            requests = self._requests
            asks = bool(requests)
            if not asks:
                return

    def _take(self, told: ToolEvent) -> Item:
        """What is told of a call; a message of it is part of the conversation from now on."""
        if not isinstance(told, ToolMessage):
            return told
        self._messages.append(told)
        return MessageAdded(message=told)

    def _suspended(self, waits: NeedsApproval) -> Suspended:
        return Suspended(
            requests=waits.requests,
            execution_id=waits.execution_id,
            asks_model=self._plan.asks_model,
            steps=self._steps,
            output_bytes=self._output_bytes,
            usage=self.usage,
            tally=self._calls.tally,
        )

    async def _ask(self, hear: Hear) -> AsyncGenerator[Item]:
        """One answer of the model. What it wants to be run is in `_requests` then."""
        self._check_limits()
        self._steps += 1
        async with aclosing(attempt(self._question(), self._candidates, self._plan.retries, self._sleep)) as attempts:
            async for event in attempts:
                if isinstance(event, Asked):
                    for told in await self._budget.reserve(event, self._output_left()):
                        yield told
                    self._answer = Answer(event)
                elif isinstance(event, Retry):
                    self._answer = None
                    yield event
                else:
                    begun = event
        answer = self._begun_answer()
        async with aclosing(begun.rest):
            self._note(answer, begun.first, hear)
            async for heard in begun.rest:
                self._note(answer, heard, hear)
        for item in self._finish_answer(answer):
            yield item

    def _note(self, answer: Answer, event: CompletionEvent, hear: Hear) -> None:
        if isinstance(event, Text):
            answer.add(event)
            hear(event)
            self._check_output(answer)
        else:
            answer.note(event)

    def _question(self) -> Question:
        sampling = self._plan.sampling
        if sampling.max_output_tokens:
            sampling = msgspec.structs.replace(sampling, max_output_tokens=self._output_left())
        return Question(
            messages=tuple(self._messages),
            instructions=self._plan.instructions,
            tools=self._plan.tools,
            sampling=sampling,
        )

    def _run_left(self) -> int:
        """The tokens that the run may still put out."""
        return self._plan.limits.max_output_tokens - self.usage.output_tokens

    def _output_left(self) -> int:
        """The most tokens that the next answer can have."""
        return min(self._run_left(), self._plan.sampling.max_output_tokens or self._run_left())

    def _begun_answer(self) -> Answer:
        if self._answer is None:
            raise ProviderError("There is nobody to ask.", code="provider_unavailable", retryable=False)
        candidate = self._answer.asked.candidate
        # Those before it have failed in this run: the one that answers goes on.
        self._candidates = self._candidates[self._candidates.index(candidate) :]
        return self._answer

    def _finish_answer(self, answer: Answer) -> Iterator[Item]:
        if answer.finished is None:
            raise ProviderError("The answer ended without a reason.", code="provider_protocol", retryable=True)
        yield from self._close_answer(answer)
        self._check_finish(answer)
        self._requests = tuple(map(_request, answer.wanted_calls()))

    def _close_answer(self, answer: Answer) -> Iterator[Item]:
        self._answer = None
        self._output_bytes += answer.size
        usage = answer.usage(self._price, self._count)
        self.usage = add_usage(self.usage, usage)
        yield usage
        message = answer.message()
        if message.text or message.tool_calls:
            self._messages.append(message)
            reason = answer.finished.reason if answer.finished else None
            yield MessageAdded(message=message, candidate=answer.asked.candidate, usage=usage, finish_reason=reason)

    def _check_limits(self) -> None:
        if self._steps >= self._plan.limits.max_steps:
            raise LimitReached("max_steps")
        if self.usage.output_tokens >= self._plan.limits.max_output_tokens:
            raise LimitReached("max_output")

    def _check_output(self, answer: Answer) -> None:
        limits = self._plan.limits
        tokens = self.usage.output_tokens + len(answer.pieces)
        if tokens > limits.max_output_tokens or self._output_bytes + answer.size > limits.max_output_bytes:
            raise LimitReached("max_output")

    def _check_finish(self, answer: Answer) -> None:
        reason = answer.finished.reason if answer.finished else None
        if reason == "content_filter":
            raise LimitReached("content_filter")
        if reason == "length":
            spent = self.usage.output_tokens >= self._plan.limits.max_output_tokens
            raise LimitReached("max_output" if spent else "length")


def _request(call: ToolCall) -> ToolRequest:
    return ToolRequest(tool=call.name, arguments=call.arguments, source="model", call_id=call.call_id)
