"""The tool calls of a turn: which run concurrently, which wait, and the message about each result.

LimitReached          the turn ends here, with a reason
NeedsAnswer           a call waits for an approval or for the client, and the turn is suspended
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
    ClientToolCall,
    EndReason,
    ToolCalled,
    ToolFailed,
    ToolOutput,
    ToolResult,
)
from chat.engine.limits import Limits
from chat.engine.merge import merge
from chat.engine.messages import ToolMessage
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
    ToolPort,
    ToolRequest,
    Waiting,
)

MAX_CONCURRENT: Final = 8
"""Calls without side effects that run at the same time."""

MAX_FOUND: Final = 64
"""Tools that are remembered as found; the oldest are forgotten."""

STOPPED: Final = Failed(error="The run was stopped while the tool ran.", code="cancelled")
NOT_RUN: Final = "Not run: the run's limit of tool calls was reached."

ToolEvent = (
    ToolCalled
    | ApprovalRequired
    | ApprovalResolved
    | ClientToolCall
    | ToolOutput
    | ToolResult
    | ToolFailed
    | ToolMessage
)


class LimitReached(Exception):
    """The turn ends here, with this reason. `events` are emitted before its end."""

    def __init__(self, reason: EndReason, events: Sequence[BudgetUsed] = ()) -> None:
        super().__init__(reason)
        self.reason: EndReason = reason
        self.events = events


# The fields' names are stored with a waiting run.
class ClientCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a client tool that waits for its result."""

    request: ToolRequest
    execution_id: str


class NeedsAnswer(Exception):
    """The turn is suspended, as `Suspended` describes it."""

    def __init__(
        self, requests: tuple[ToolRequest, ...], *, execution_id: str = "", client_calls: tuple[ClientCall, ...] = ()
    ) -> None:
        super().__init__(requests)
        self.requests = requests
        self.execution_id = execution_id
        self.client_calls = client_calls


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The number of calls so far, the failures of each call by its digest, and the tools that the model found."""

    calls: int = 0
    failures: dict[str, int] = {}
    found: tuple[str, ...] = ()


class _Call:
    """A call in progress, with its execution and its outcome."""

    def __init__(self, request: ToolRequest, execution_id: str = "") -> None:
        self.request = request
        self.execution_id = execution_id
        self.shown: Any = None
        self.outcome: Succeeded | Failed | None = None

    def event(self, step: Progress) -> ToolEvent:
        """Return the event of a step. The call keeps the step's ids and outcome for its message."""
        request = self.request
        if isinstance(step, Opened):
            # A model can put a secret into a name that it invents, and here it is masked.
            self.request = request = msgspec.structs.replace(request, tool=step.tool)
            self.execution_id, self.shown = step.execution_id, step.params
            return ToolCalled(
                tool=request.tool,
                params=step.params,
                execution_id=step.execution_id,
                source=request.source,
                waits_for=step.waits_for or msgspec.UNSET,
            )
        if isinstance(step, Waiting | ClientWaiting):
            common: dict[str, Any] = {"tool": request.tool, "params": step.params, "execution_id": step.execution_id}
            if isinstance(step, Waiting):
                question: ToolEvent = ApprovalRequired(
                    **common,
                    params_sha256=step.params_sha256,
                    expires_at=step.expires_at,
                    taint=dict(step.taint) or msgspec.UNSET,
                )
            else:
                question = ClientToolCall(**common, call_id=step.call_id, expires_at=step.expires_at)
            return question
        if isinstance(step, Resolved):
            return ApprovalResolved(execution_id=step.execution_id, decision=step.decision)
        if isinstance(step, Output):
            return ToolOutput(tool=request.tool, execution_id=self.execution_id, stream=step.stream, text=step.text)
        self.outcome = step
        if isinstance(step, Succeeded):
            return ToolResult(tool=request.tool, data=step.data, execution_id=self.execution_id)
        return ToolFailed(tool=request.tool, error=step.error, code=step.code, execution_id=self.execution_id)

    def message(self) -> ToolMessage:
        outcome = self.outcome or STOPPED
        if isinstance(outcome, Succeeded):
            message = _message(self.request, self.shown, outcome.content)
        else:
            message = _message(self.request, self.shown, f"{outcome.code}: {outcome.error}", is_error=True)
        return msgspec.structs.replace(message, execution_id=self.execution_id)


class Calls:
    """Runs calls through the executor. `tally` continues that of an earlier part of the turn.

    `found` are the names of the tools that the model has searched for and found, oldest first.
    """

    def __init__(self, executor: ToolPort[Any], limits: Limits, tally: Tally) -> None:
        self._executor = executor
        self._limits = limits
        self._count = tally.calls
        self._failures = dict(tally.failures)
        self.found = tally.found
        self._open: Sequence[_Call] = ()
        self._client_tools = frozenset(tool.name for tool in executor.specs() if tool.by_client)

    @property
    def tally(self) -> Tally:
        return Tally(calls=self._count, failures=dict(self._failures), found=self.found)

    async def run(self, requests: Sequence[ToolRequest]) -> AsyncGenerator[ToolEvent]:
        """Run all calls: those that only read concurrently, the others in order, and last those of client tools.

        Raise `LimitReached` and `NeedsAnswer`.
        """
        # The run waits for decisions first, and for the client when nothing else is left to do.
        left = tuple(sorted(requests, key=self._is_by_client))
        while left:
            room = self._limits.max_tool_calls - self._count
            if room <= 0:
                for request in left:
                    yield _message(request, None, NOT_RUN, is_error=True)
                raise LimitReached("max_tool_calls")
            if self._is_by_client(left[0]):
                batch = [self._executor.inspect(request) for request in left[:room]]
            else:
                batch = self._batch(left[: min(MAX_CONCURRENT, room)])
            self._count += len(batch)
            calls = [_Call(call.request) for call in batch]
            async with aclosing(self._run_batch(calls, [self._executor.execute(call) for call in batch])) as events:
                async for item in events:
                    if isinstance(item, Waiting):
                        raise NeedsAnswer(left, execution_id=item.execution_id)
                    yield item
            left = left[len(batch) :]
            if self._open:
                waiting = tuple(ClientCall(request=call.request, execution_id=call.execution_id) for call in self._open)
                raise NeedsAnswer(left, client_calls=waiting)

    async def resume(self, request: ToolRequest, approval: Approval) -> AsyncGenerator[ToolEvent]:
        """Resume the call that waited, which is already counted. Raise `LimitReached`."""
        call = _Call(request, approval.execution_id)
        inspected = self._executor.inspect(request)
        async with aclosing(self._run_batch([call], [self._executor.resume(inspected, approval)])) as events:
            async for item in events:
                if not isinstance(item, Waiting):
                    yield item
        if approval.decision == "cancelled":
            raise LimitReached("cancelled")

    def take(self, calls: Sequence[ClientCall], results: ClientResults) -> Iterator[ToolEvent]:
        """Take the results of client tools, whose calls are already counted. Raise `LimitReached`."""
        taken = [_Call(call.request, call.execution_id) for call in calls]
        for call, outcome in zip(taken, results.outcomes, strict=True):
            yield call.event(outcome)
        for call in taken:
            yield call.message()
        if results.cancelled:
            raise LimitReached("cancelled")
        for call in taken:
            self._count_failure(call)

    def unfinished_events(self) -> Iterator[ToolEvent]:
        """Yield the missing events and messages of calls that were stopped before their end."""
        begun = [call for call in self._open if call.execution_id]
        for call in begun:
            if call.outcome is None:
                yield call.event(STOPPED)
        for call in begun:
            yield call.message()
        self._open = ()

    def _batch(self, requests: Sequence[ToolRequest]) -> list[InspectedCall]:
        """Return the next calls to run together: leading calls that only read, otherwise one call."""
        batch: list[InspectedCall] = []
        for request in requests:
            call = self._executor.inspect(request)
            if call.only_reads or not batch:
                batch.append(call)
            if not call.only_reads:
                # After others it is inspected again when its turn comes: they may bring texts from outside.
                break
        return batch

    async def _run_batch(
        self, calls: Sequence[_Call], streams: Sequence[AsyncGenerator[Progress]]
    ) -> AsyncGenerator[ToolEvent | Waiting]:
        self._open = calls
        asked: list[ToolEvent] = []
        async with aclosing(merge(streams)) as progress:
            async for place, step in progress:
                event = calls[place].event(step)
                if isinstance(step, ClientWaiting):
                    asked.append(event)
                    continue
                yield event
                if isinstance(step, Waiting):
                    self._open = ()
                    yield step
        # The client is asked when all of its calls are recorded: one that sees a call finds the others.
        for event in asked:
            yield event
        self._open = [call for call in calls if call.outcome is None] if asked else ()
        # The messages follow the order of the calls, which services require, and come before a limit ends the turn.
        done = [call for call in calls if call not in self._open]
        for call in done:
            yield call.message()
        for call in done:
            if isinstance(call.outcome, Succeeded):
                self.found = (*self.found, *call.outcome.found)[-MAX_FOUND:]
            self._count_failure(call)

    def _is_by_client(self, request: ToolRequest) -> bool:
        return request.source == "model" and request.tool in self._client_tools

    def _count_failure(self, call: _Call) -> None:
        # A model that repeats the same failing call would otherwise loop until it reaches another limit.
        digest = hashlib.sha256(f"{call.request.tool} {call.request.arguments}".encode("utf-8", "replace")).hexdigest()
        if not isinstance(call.outcome, Failed) or call.request.source == "caller":
            self._failures.pop(digest, None)
            return
        self._failures[digest] = self._failures.get(digest, 0) + 1
        if self._failures[digest] >= self._limits.max_repeats:
            raise LimitReached("repeated_call")


def _message(request: ToolRequest, shown: Any, content: str, *, is_error: bool = False) -> ToolMessage:
    if request.source == "caller":
        # The model did not request this call, so its result has to name the tool and its arguments.
        params = msgspec.json.encode(shown).decode()
        content = f"I ran {request.tool} with {params}. Its result:\n{content}"
    return ToolMessage(call_id=request.call_id, name=request.tool, content=content, is_error=is_error)
