"""The tool calls of a turn: what runs together, what waits for an approval, and what the model is told of each.

LimitReached          the turn ends here, with a reason
Waits                 a call needs an approval, and the turn ends here for now
"""

import hashlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    BudgetUsed,
    EndReason,
    ToolCalled,
    ToolFailed,
    ToolOutput,
    ToolResult,
)
from chat.engine.limits import Limits
from chat.engine.merge import together
from chat.engine.messages import ToolMessage
from tools.base import (
    Approval,
    Failed,
    InspectedCall,
    Opened,
    Output,
    Progress,
    Resolved,
    Succeeded,
    ToolPort,
    ToolRequest,
    Waiting,
)

MAX_TOGETHER: Final = 8
"""Reading calls that run at once."""

STOPPED: Final = Failed(error="The run was stopped while the tool ran.", code="cancelled")
NOT_RUN: Final = "Not run: the run's limit of tool calls was reached."

ToolEvent = ToolCalled | ApprovalRequired | ApprovalResolved | ToolOutput | ToolResult | ToolFailed | ToolMessage


class LimitReached(Exception):
    """The turn ends here, with this reason; `told` says more of it."""

    def __init__(self, reason: EndReason, told: Sequence[BudgetUsed] = ()) -> None:
        super().__init__(reason)
        self.reason: EndReason = reason
        self.told = told


class NeedsApproval(Exception):
    """The first of `requests` needs an approval; the others come after it."""

    def __init__(self, execution_id: str, requests: tuple[ToolRequest, ...]) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id
        self.requests = requests


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls there were, and how often each of those that failed did, by its digest."""

    calls: int = 0
    failures: dict[str, int] = {}


class _Call:
    """One call at work: what was opened, and what came of it."""

    def __init__(self, request: ToolRequest, execution_id: str = "") -> None:
        self.request = request
        self.execution_id = execution_id
        self.shown: Any = None
        self.outcome: Succeeded | Failed | None = None


class Calls:
    """Runs calls through the executor. `tally` counts on from an earlier part of the turn."""

    def __init__(self, executor: ToolPort[Any], limits: Limits, tally: Tally) -> None:
        self._executor = executor
        self._limits = limits
        self._count = tally.calls
        self._failures = dict(tally.failures)
        self._open: Sequence[_Call] = ()

    @property
    def tally(self) -> Tally:
        return Tally(calls=self._count, failures=dict(self._failures))

    async def run(self, requests: Sequence[ToolRequest]) -> AsyncGenerator[ToolEvent]:
        """Run all calls: those that only read side by side, the others in order.

        Raises `LimitReached` and `NeedsApproval`.
        """
        left = tuple(requests)
        inspected: list[InspectedCall] = []
        while left:
            room = self._limits.max_tool_calls - self._count
            if room <= 0:
                for request in left:
                    yield _answer(request, None, NOT_RUN, is_error=True)
                raise LimitReached("max_tool_calls")
            batch = self._batch(left[: min(MAX_TOGETHER, room)], inspected)
            self._count += len(batch)
            calls = [_Call(call.request) for call in batch]
            async with aclosing(self._play(calls, [self._executor.execute(call) for call in batch])) as events:
                async for item in events:
                    if isinstance(item, Waiting):
                        raise NeedsApproval(item.execution_id, left)
                    yield item
            left, inspected = left[len(batch) :], inspected[len(batch) :]

    async def resume(self, request: ToolRequest, approval: Approval) -> AsyncGenerator[ToolEvent]:
        """Goes on with the call that waited, which is counted already. Raises `LimitReached`."""
        call = _Call(request, approval.execution_id)
        inspected = self._executor.inspect(request)
        async with aclosing(self._play([call], [self._executor.resume(inspected, approval)])) as told:
            async for item in told:
                if not isinstance(item, Waiting):
                    yield item
        if approval.decision == "cancelled":
            raise LimitReached("cancelled")

    def remains(self) -> Iterator[ToolEvent]:
        """What is still to be told of calls that were stopped midway."""
        begun = [call for call in self._open if call.execution_id]
        for call in begun:
            if call.outcome is None:
                call.outcome = STOPPED
                yield _outcome(call, STOPPED)
        yield from map(_said, begun)
        self._open = ()

    def _batch(self, requests: Sequence[ToolRequest], inspected: list[InspectedCall]) -> list[InspectedCall]:
        """Return the next calls to run together: leading calls that only read, otherwise one call.

        `inspected` holds calls from the front of `requests` that were inspected before, so that none is inspected
        twice; it grows by the calls inspected here.
        """
        for number, request in enumerate(requests):
            if number == len(inspected):
                inspected.append(self._executor.inspect(request))
            if not inspected[number].only_reads:
                return inspected[: max(1, number)]
        return inspected[: len(requests)]

    async def _play(
        self, calls: Sequence[_Call], streams: Sequence[AsyncGenerator[Progress]]
    ) -> AsyncGenerator[ToolEvent | Waiting]:
        self._open = calls
        async with aclosing(together(streams)) as progress:
            async for place, step in progress:
                yield _told(calls[place], step)
                if isinstance(step, Waiting):
                    self._open = ()
                    yield step
        self._open = ()
        for call in calls:
            yield _said(call)
        for call in calls:
            self._note(call)

    def _note(self, call: _Call) -> None:
        """Counts failures of a model's call. Raises `LimitReached` where one has failed too often."""
        digest = hashlib.sha256(f"{call.request.tool} {call.request.arguments}".encode("utf-8", "replace")).hexdigest()
        if not isinstance(call.outcome, Failed) or call.request.source == "caller":
            self._failures.pop(digest, None)
            return
        self._failures[digest] = self._failures.get(digest, 0) + 1
        if self._failures[digest] >= self._limits.max_repeats:
            raise LimitReached("repeated_call")


def _told(call: _Call, step: Progress) -> ToolEvent:
    """The step as an event; the call remembers what it needs of it."""
    request = call.request
    if isinstance(step, Opened):
        call.execution_id, call.shown = step.execution_id, step.params
        return ToolCalled(tool=request.tool, params=step.params, execution_id=step.execution_id, source=request.source)
    if isinstance(step, Waiting):
        return ApprovalRequired(
            tool=request.tool,
            params=step.params,
            execution_id=step.execution_id,
            params_sha256=step.params_sha256,
            expires_at=step.expires_at,
        )
    if isinstance(step, Resolved):
        return ApprovalResolved(execution_id=step.execution_id, decision=step.decision)
    if isinstance(step, Output):
        return ToolOutput(tool=request.tool, execution_id=call.execution_id, stream=step.stream, text=step.text)
    call.outcome = step
    return _outcome(call, step)


def _outcome(call: _Call, outcome: Succeeded | Failed) -> ToolResult | ToolFailed:
    tool, execution_id = call.request.tool, call.execution_id
    if isinstance(outcome, Succeeded):
        return ToolResult(tool=tool, data=outcome.data, execution_id=execution_id)
    return ToolFailed(tool=tool, error=outcome.error, code=outcome.code, execution_id=execution_id)


def _said(call: _Call) -> ToolMessage:
    outcome = call.outcome or STOPPED
    if isinstance(outcome, Succeeded):
        return _answer(call.request, call.shown, outcome.content)
    return _answer(call.request, call.shown, f"{outcome.code}: {outcome.error}", is_error=True)


def _answer(request: ToolRequest, shown: Any, content: str, *, is_error: bool = False) -> ToolMessage:
    if request.source == "caller":
        params = msgspec.json.encode(shown).decode()
        content = f"I ran {request.tool} with {params}. Its result:\n{content}"
    return ToolMessage(call_id=request.call_id, name=request.tool, content=content, is_error=is_error)
