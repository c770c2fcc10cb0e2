"""The agent loop: call the model, run the tools that it requests, and repeat until it stops or reaches a limit.

A turn yields events and `MessageAdded` items. The last item is `End` or `Error`. It is `Suspended` if a call waits for
an approval or for the client; a later turn resumes from it. The loop has no clock, no storage and no network: models,
tools, prices and sleep are passed in.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

import msgspec

from chat.engine.answer import Answer, Price
from chat.engine.budget_port import Budget, UnlimitedBudget
from chat.engine.compaction.compactor import Compactor
from chat.engine.compaction.conversation import Conversation
from chat.engine.context.tools import ToolSearch, tools_in_context
from chat.engine.context.window import Count, text_tokens
from chat.engine.events import Compaction, End, EndReason, Error, Event, Reasoning, Retry, TotalUsage, Usage
from chat.engine.limits import Limits, Retries
from chat.engine.messages import AssistantMessage, Entry, History, Summary, ToolMessage, UserMessage
from chat.engine.model_port import CompletionEvent, FinishReason, ProviderError, SamplingOptions, Text
from chat.engine.output_schema import CORRECTION, MAX_CORRECTIONS, InvalidOutput, OutputSchema
from chat.engine.retry import AnswerStarted, Candidate, ModelCall, Prompt, Sleep, attempt, from_chosen
from chat.engine.tool_calls import Calls, ClientCall, LimitReached, NeedsAnswer, Tally, ToolEvent
from chat.engine.transcript import add_usage
from tools.base import Approval, ClientResults, ToolPort, ToolRequest, ToolSpec


class MessageAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A complete message, which is part of the conversation from now on.

    An assistant's message comes with its model, its usage and its finish reason, and a summary with the first two.
    """

    message: Entry
    candidate: Candidate | None = None
    usage: Usage | TotalUsage | None = None
    finish_reason: FinishReason | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a turn: the conversation, the models that may answer, the tools and the limits.

    A turn that `compacts` only summarises the older messages. With a `tool_search`, a model is offered some of the
    tools.
    """

    run_id: str
    session_id: str | None
    history: History
    caller_calls: tuple[ToolRequest, ...]
    asks_model: bool
    compacts: bool = False
    candidates: tuple[Candidate, ...]
    instructions: str
    tools: tuple[ToolSpec, ...]
    tool_search: ToolSearch | None = None
    sampling: SamplingOptions
    shows_reasoning: bool = False
    output_schema: OutputSchema | None = None
    limits: Limits
    retries: Retries


# The fields' names are stored: a waiting run keeps this value as JSON in its row.
class Suspended(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a turn that waits. With its plan and its messages, a later turn can resume.

    Either the `client_calls` wait for results, and the `requests` come after them; or the first of the `requests`
    awaits an approval as execution `execution_id`.
    """

    requests: tuple[ToolRequest, ...]
    execution_id: str = ""
    client_calls: tuple[ClientCall, ...] = ()
    asks_model: bool
    steps: int
    output_bytes: int
    usage: TotalUsage
    tally: Tally


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """A suspended turn, and the decision on its call, or the results of its client calls."""

    suspended: Suspended
    approval: Approval | None = None
    results: ClientResults | None = None


Item = Event | MessageAdded | Suspended
OnText = Callable[[Text], None]

OUTPUT_TOOL: Final = "output.read"

UNLIMITED = UnlimitedBudget()
REASONING_ONLY: Final = "The model's answer has no text: it ended after its reasoning."
NO_PROVIDER: Final = "No provider is available."
NOTHING_TO_COMPACT: Final = "Nothing was compacted: no older messages can be replaced by a shorter summary."


class Turn:
    """One execution of the loop. `usage` is its usage so far."""

    def __init__(
        self,
        plan: Plan,
        *,
        executor: ToolPort[Any],
        price: Price,
        sleep: Sleep,
        budget: Budget = UNLIMITED,
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
        self._conversation = Conversation(plan.history)
        self._compactor = Compactor(
            self._conversation,
            pages=any(tool.name == OUTPUT_TOOL for tool in plan.tools),
            sampling=plan.sampling,
            retries=plan.retries,
            sleep=sleep,
            budget=budget,
            price=price,
            count=count,
        )
        self._candidates = plan.candidates
        self.usage = before.usage if before else TotalUsage()
        self._steps = before.steps if before else 0
        self._output_bytes = before.output_bytes if before else 0
        self._warning: str | msgspec.UnsetType = msgspec.UNSET
        self._output: Any = msgspec.UNSET
        self._corrections = 0
        self._answer: Answer | None = None
        self._requests: tuple[ToolRequest, ...] = ()

    def first_call(self) -> tuple[ModelCall, int]:
        """Return the call of the first candidate and its maximum output tokens, if no tool runs before it."""
        first = self._candidates[0]
        return ModelCall(first, self._prompt().to(first)), self._output_left()

    async def run(self, on_text: OnText) -> AsyncGenerator[Item]:
        """Yield everything that happens except text, which goes to `on_text` between two items, in order.

        Closing the generator stops the model and the tools. Any exception is a fault of the service itself.
        """
        # Text goes to a callback: a generator would add one resumption for each of its layers to every token.
        reason: EndReason = "completed"
        failure: Error | None = None
        try:
            async with aclosing(self._loop(on_text)) as items:
                async for item in items:
                    yield item
        except NeedsAnswer as waiting:
            yield Suspended(
                requests=waiting.requests,
                execution_id=waiting.execution_id,
                client_calls=waiting.client_calls,
                asks_model=self._plan.asks_model,
                steps=self._steps,
                output_bytes=self._output_bytes,
                usage=self.usage,
                tally=self._calls.tally,
            )
            return
        except LimitReached as limit:
            reason = limit.reason
            for event in limit.events:
                yield event
        except ProviderError as error:
            failure = Error(error=str(error), code=error.code, retryable=error.retryable)
            if self._answer is not None and not self._answer.has_begun:
                # The service rejected the request before it did any work, so the request costs nothing.
                self._answer = None
        for item in self.unfinished_events():
            yield item
        yield failure or self.end(reason)

    def unfinished_events(self) -> Iterator[Item]:
        """Yield the events still missing after a stop: failures of open calls, the partial answer and its usage."""
        yield from map(self._add_result, self._calls.unfinished_events())
        if (summary := self._compactor.unfinished()) is not None:
            self.usage = add_usage(self.usage, summary)
            yield summary
        if self._answer is not None:
            # The service may bill a call that was stopped before anything came back, so its input counts as used.
            yield from self._close_answer(self._answer)

    def end(self, reason: EndReason) -> End:
        return End(
            reason=reason,
            run_id=self._plan.run_id,
            session_id=self._plan.session_id,
            usage=self.usage,
            warning=self._warning,
            output=self._output,
        )

    async def _loop(self, on_text: OnText) -> AsyncGenerator[Item]:
        requests, asks = self._plan.caller_calls, self._plan.asks_model
        if self._resumption is not None:
            suspended = self._resumption.suspended
            # An approval is about the first of the requests.
            requests = suspended.requests if suspended.client_calls else suspended.requests[1:]
            async with aclosing(_resumed(self._calls, self._resumption)) as resumed:
                async for result in resumed:
                    yield self._add_result(result)
        while True:
            # Closed explicitly: a generator that is only dropped is closed later, by the garbage collector.
            async with aclosing(self._calls.run(requests)) as results:
                async for item in results:
                    yield self._add_result(item)
            async with aclosing(self._compact()) as compaction:
                async for step in compaction:
                    yield step
            if not asks:
                return
            async with aclosing(self._call_model(on_text)) as answer:
                async for event in answer:
                    yield event
            requests = self._requests
            if not requests:
                correction = self._correct()
                if correction is None:
                    return
                yield correction

    def _correct(self) -> Retry | None:
        """Take the value of a structured answer, or ask the model to correct it. Raise `ProviderError` in the end."""
        schema = self._plan.output_schema
        if schema is None:
            return None
        last = self._conversation.entries[-1]
        try:
            self._output = schema.parse(last.text if isinstance(last, AssistantMessage) else "")
        except InvalidOutput as error:
            if self._corrections == MAX_CORRECTIONS:
                message = f"The answer does not match output_schema after {MAX_CORRECTIONS} corrections: {error}."
                raise ProviderError(message, code="output_invalid", retryable=False) from None
            self._corrections += 1
            self._conversation.add_unstored(UserMessage(text=CORRECTION.format(problem=error)))
            name = self._candidates[0].provider.name
            return Retry(
                provider=name,
                attempt=self._corrections,
                error=f"The answer does not match output_schema: {error}.",
                next_provider=name,
                code="output_invalid",
            )
        return None

    def _add_result(self, event: ToolEvent) -> Item:
        """Return the event; a message becomes part of the conversation."""
        if not isinstance(event, ToolMessage):
            return event
        self._conversation.add(event)
        return MessageAdded(message=event)

    async def _call_model(self, on_text: OnText) -> AsyncGenerator[Item]:
        """Yield the events of one answer, and leave the tool calls that it requests in `_requests`."""
        _check_limits(self._plan.limits, self._steps, self.usage)
        self._steps += 1
        async with aclosing(attempt(self._prompt(), self._candidates, self._plan.retries, self._sleep)) as attempts:
            async for event in attempts:
                if isinstance(event, ModelCall):
                    for used in await self._budget.reserve(event, self._output_left()):
                        yield used
                    self._answer = answer = Answer(event)
                elif isinstance(event, Retry):
                    self._answer = None
                    yield event
                elif isinstance(event, AnswerStarted):
                    started = event
                elif shown := answer.note(event):
                    yield shown
        # The candidates before this one have failed in this run, so its next step starts with the one that answers.
        self._candidates = from_chosen(self._candidates, answer.call.candidate)
        async with aclosing(started.rest):
            self._receive(answer, started.first, on_text)
            async for received in started.rest:
                if shown := self._receive(answer, received, on_text):
                    yield shown
        for item in self._finish_answer(answer):
            yield item

    def _receive(self, answer: Answer, event: CompletionEvent, on_text: OnText) -> Reasoning | None:
        if not isinstance(event, Text):
            return answer.note(event)
        answer.add(event)
        on_text(event)
        # The exact number of tokens is known only at the end. A piece is at least one token, so this is a lower bound.
        limits = self._plan.limits
        tokens = self.usage.output_tokens + len(answer.pieces)
        if tokens > limits.max_output_tokens or self._output_bytes + answer.size > limits.max_output_bytes:
            raise LimitReached("max_output")
        return None

    async def _compact(self) -> AsyncGenerator[Item]:
        """Shorten the conversation if it no longer fits, or because the caller requested it."""
        plan = self._plan
        left = plan.limits.max_output_tokens - self.usage.output_tokens
        if plan.compacts and not self._candidates:
            raise ProviderError(NO_PROVIDER, code="provider_unavailable", retryable=False)
        if not self._candidates or self._steps >= plan.limits.max_steps or left <= 0:
            return
        candidate, limit = self._candidates[0], self._prompt().history_tokens(self._candidates[0])
        if plan.compacts:
            steps = self._compactor.summarize_older(candidate, left)
            self._warning = NOTHING_TO_COMPACT
        elif plan.asks_model and self._conversation.tokens > limit:
            steps = self._compactor.fit(candidate, limit, left)
        else:
            return
        async with aclosing(steps):
            async for step in steps:
                if isinstance(step, Summary):
                    yield MessageAdded(message=step, candidate=candidate, usage=self._compactor.usage)
                    continue
                if isinstance(step, Usage):
                    self.usage = add_usage(self.usage, step)
                elif isinstance(step, Compaction):
                    self._warning = msgspec.UNSET
                yield step

    def _prompt(self) -> Prompt:
        sampling = self._plan.sampling
        if sampling.max_output_tokens:
            sampling = msgspec.structs.replace(sampling, max_output_tokens=self._output_left())
        if self._steps > 1 and sampling.tool_choice not in {None, "auto", "none"}:
            # A model that must call a tool in each answer would never end.
            sampling = msgspec.structs.replace(sampling, tool_choice=None)
        tools = self._plan.tools
        if (search := self._plan.tool_search) is not None:
            tools = tools_in_context(tools, search, self._calls.found, self._conversation.entries, self._count)
        return Prompt(
            messages=tuple(self._conversation.entries),
            instructions=self._plan.instructions,
            # A correction needs no tools: everything has been found out.
            tools=() if self._corrections else tools,
            sampling=sampling,
            output_schema=self._plan.output_schema,
            shows_reasoning=self._plan.shows_reasoning,
        )

    def _output_left(self) -> int:
        """Return the maximum tokens of the next answer: what the run has left, or the caller's own maximum."""
        run_left = self._plan.limits.max_output_tokens - self.usage.output_tokens
        return min(run_left, self._plan.sampling.max_output_tokens or run_left)

    def _finish_answer(self, answer: Answer) -> Iterator[Item]:
        if answer.finished is None:
            raise ProviderError("The answer ended without a reason.", code="provider_protocol", retryable=True)
        yield from self._close_answer(answer)
        if answer.finished.reason == "content_filter":
            raise LimitReached("content_filter")
        if answer.finished.reason == "length":
            spent = self.usage.output_tokens >= self._plan.limits.max_output_tokens
            raise LimitReached("max_output" if spent else "length")
        if not answer.size and not answer.tool_calls and answer.message().reasoning:
            self._warning = REASONING_ONLY
        self._requests = tuple(
            ToolRequest(tool=call.name, arguments=call.arguments, source="model", call_id=call.call_id)
            for call in answer.requested_calls()
        )

    def _close_answer(self, answer: Answer) -> Iterator[Item]:
        self._answer = None
        self._output_bytes += answer.size
        usage = answer.usage(self._price, self._count)
        self.usage = add_usage(self.usage, usage)
        yield usage
        message = answer.message()
        if message.text or message.tool_calls or message.reasoning:
            self._conversation.add(message)
            reason = answer.finished.reason if answer.finished else None
            yield MessageAdded(message=message, candidate=answer.call.candidate, usage=usage, finish_reason=reason)


async def _resumed(calls: Calls, resumption: Resumption) -> AsyncGenerator[ToolEvent]:
    """Yield the events of the calls that waited. Raise `LimitReached`."""
    suspended = resumption.suspended
    if resumption.results is not None:
        for event in calls.take(suspended.client_calls, resumption.results):
            yield event
    elif resumption.approval is not None:
        async with aclosing(calls.resume(suspended.requests[0], resumption.approval)) as results:
            async for event in results:
                yield event


def _check_limits(limits: Limits, steps: int, usage: TotalUsage) -> None:
    """Raise `LimitReached` if the run may not call a model again."""
    if steps >= limits.max_steps:
        raise LimitReached("max_steps")
    if usage.output_tokens >= limits.max_output_tokens:
        raise LimitReached("max_output")
