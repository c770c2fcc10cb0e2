"""The one door to every tool, for models, callers and the command line: validate, decide, record, run, record."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from access.budgets import NANO
from access.incidents import incidents
from spending import ledger
from spending.accounts import Payer
from spending.ledger import Used
from storage.ids import new_id
from telemetry import metrics
from tools.base import (
    Approval,
    Failed,
    Opened,
    Progress,
    Resolved,
    Succeeded,
    Tool,
    ToolError,
    ToolRequest,
    ToolSpec,
    Waiting,
)
from tools.live_output import LiveOutput
from tools.masking import Masker
from tools.models import ToolExecution
from tools.outputs import OutputStore, Recording, Stored
from tools.policy import Decision, Policy
from tools.record import Intent, Outcome, close_execution, open_execution, start_execution
from tools.registry import Registry
from tools.running import Running
from tools.showing import INLINE_BYTES, binary_names, event_params, row_data, row_params, show, without_binary

logger = logging.getLogger(__name__)

Keep = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a sync function in a transaction and gives its result, or does nothing where nothing is stored."""

BROKEN = Failed(error="The tool failed by a fault of its own; the service's log says more.", code="failed")
STOPPED = Failed(error="The run was stopped while the tool ran.", code="cancelled")
OUTPUT_TOOL = "output.read"
MOST_UNREADABLE_CHARS = 4_096

UNKNOWN_TOOL: Final = "unknown"
"""What calls of tools that there are not are counted as."""


class Toolset(msgspec.Struct, frozen=True, kw_only=True):
    """What every door of a process has in common. `result_bytes` of a result are shown to a model."""

    registry: Registry
    policy: Policy
    masker: Masker
    outputs: OutputStore
    result_bytes: int
    approval_seconds: float


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was looked at: what it means, what is written of it, and why it is refused, if it is."""

    request: ToolRequest
    intent: Intent
    tool: Tool | None = None
    values: msgspec.Struct | None = None
    refusal: ToolError | None = None
    decision: Decision = "allow"

    @property
    def shown_params(self) -> Any:
        return event_params(self.intent.params)


def everything(_: str) -> bool:
    """Grants every tool."""
    return True


class ToolDoor:
    """The door as one run sees it.

    What it does is the `payer`'s. `offered` are the tools that its model may be told of, and `granted` says by its name
    whether a tool may be used at all; where nothing is `stored`, nothing can wait for an approval.
    """

    def __init__(
        self,
        toolset: Toolset,
        payer: Payer,
        keep: Keep,
        *,
        offered: Sequence[Tool],
        stored: bool,
        granted: Callable[[str], bool] = everything,
    ) -> None:
        self._toolset = toolset
        self._payer = payer
        self._keep = keep
        self._stored = stored
        self._granted = granted
        self._named = {tool.name for tool in offered}
        self._offered = {tool.name: tool for tool in offered if self._may_offer(tool)}

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._offered.values())

    def only_reads(self, request: ToolRequest) -> bool:
        try:
            tool = self._tool(request)
            return tool.effect == "read" and self._decide(tool, request, _values(tool, request.arguments)) == "allow"
        except ToolError:
            return False

    async def execute(self, request: ToolRequest) -> AsyncGenerator[Progress]:
        """Runs one tool. Its row is committed before it starts, and its outcome before that is told."""
        call = self._call(request, new_id())
        opened = Opened(execution_id=str(call.intent.execution_id), params=call.shown_params)
        if call.refusal is None and call.decision == "ask":
            waits = self._awaited(call)
            await self._keep(partial(open_execution, waits))
            yield opened
            yield _waiting(call, waits)
            return
        await self._keep(partial(open_execution, call.intent))
        async with aclosing(self._perform(call, opened)) as steps:
            async for step in steps:
                yield step

    async def resume(self, request: ToolRequest, approval: Approval) -> AsyncGenerator[Progress]:
        """Runs, or refuses, what waited. The policy is asked again: what it denies by now, no approval allows."""
        call = self._call(request, UUID(approval.execution_id))
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        refusal = _refusal(call, approval)
        if refusal is None and not await self._keep(partial(start_execution, call.intent.execution_id, timezone.now())):
            refusal = ToolError("It does not await approval any more.", code="cancelled")
        if refusal is not None:
            await self._close(call, self._failed(refusal), 0.0, status=ToolExecution.Status.AWAITING_APPROVAL)
            yield self._failed(refusal)
            return
        async with aclosing(self._perform(call)) as steps:
            async for step in steps:
                yield step

    async def _perform(self, call: _Call, opened: Opened | None = None) -> AsyncGenerator[Progress]:
        """Runs the tool, whose intent is written down, and writes down what came of it."""
        began = time.perf_counter()
        running: Running | None = None
        recording = self._toolset.outputs.begin(self._payer.owner, call.intent.execution_id) if self._stored else None
        printed = LiveOutput(self._toolset.masker, recording)
        outcome: Succeeded | Failed
        try:
            if opened is not None:
                yield opened
            running = self._start(call)
            async for piece in running.output():
                for shown in await printed.take(piece):
                    yield shown
            for shown in await printed.end():
                yield shown
            outcome = self._succeeded(call, await running.result())
        except ToolError as error:
            outcome = self._failed(error)
        except (asyncio.CancelledError, GeneratorExit):
            if running is not None:
                await running.stop()
            await self._close(call, STOPPED, time.perf_counter() - began, printed, recording)
            raise
        except Exception:
            logger.exception("tool.broken", extra={"tool": call.request.tool})
            outcome = BROKEN
        await self._close(call, outcome, time.perf_counter() - began, printed, recording)
        yield outcome

    def _start(self, call: _Call) -> Running:
        """The tool at work. Raises the `ToolError` with which it is refused."""
        if call.refusal is not None or call.tool is None or call.values is None:
            raise call.refusal or ToolError("There is no such tool.", code="unknown_tool")
        return Running(call.tool, call.values, self._payer)

    def _call(self, request: ToolRequest, execution_id: UUID) -> _Call:
        """The request, looked at: nothing has happened, and nothing was written."""
        intent = self._intent(request, execution_id)
        try:
            tool = self._tool(request)
            intent = msgspec.structs.replace(intent, confinement=tool.confinement)
            values = _values(tool, request.arguments)
            decision = self._decide(tool, request, values)
        except ToolError as error:
            return _Call(request=request, intent=intent, refusal=error)
        return _Call(request=request, intent=intent, tool=tool, values=values, decision=decision)

    def _intent(self, request: ToolRequest, execution_id: UUID) -> Intent:
        params, params_hash = self._params(request.arguments)
        return Intent(
            execution_id=execution_id,
            owner=self._payer.owner,
            session_id=self._payer.session_id,
            run_id=self._payer.run_id,
            call_id=self._toolset.masker.text(request.call_id)[: ToolExecution.CALL_ID_LENGTH],
            tool=self._toolset.masker.text(request.tool)[: ToolExecution.NAME_LENGTH],
            source=request.source,
            params=params,
            params_sha256=params_hash,
            confinement="",
            created=timezone.now(),
        )

    def _params(self, arguments: str) -> tuple[Any, str]:
        """The params as a row keeps them, and their hash. Of what is nested or long beyond all use, the text alone."""
        masker = self._toolset.masker
        try:
            params = _decoded(arguments)
            kept = row_params(masker.data(params))
            msgspec.json.encode(event_params(kept))
            return kept, params_sha256(params)
        except (RecursionError, ValueError, OverflowError):
            return masker.text(arguments)[:MOST_UNREADABLE_CHARS], params_sha256(arguments)

    def _tool(self, request: ToolRequest) -> Tool:
        """The tool that is meant. Raises `ToolError` where there is none, it is not granted, or it is off."""
        registry = self._toolset.registry
        tool = registry.get(request.tool)
        if tool is not None and not self._granted(tool.name):
            raise ToolError(f"The caller's key does not have the scope {tool.name}.", code="denied")
        if tool is None or (request.source == "model" and request.tool not in self._named):
            valid = registry.names if request.source == "caller" else tuple(self._offered)
            raise ToolError(
                f"There is no tool {request.tool[:80]!r}; there are {', '.join(valid) or 'none'}.", code="unknown_tool"
            )
        if tool.disabled:
            raise ToolError(f"{tool.name} is off: {tool.disabled}.", code="disabled")
        return tool

    def _decide(self, tool: Tool, request: ToolRequest, values: msgspec.Struct) -> Decision:
        """Raises `ToolError` for what the policy denies."""
        decision = self._toolset.policy.decide(tool.name, tool.effect, request.source, tool.facets(values))
        asker = "model" if request.source == "model" else "caller"
        if decision == "deny":
            raise ToolError(f"TOOL_POLICY does not let a {asker} run {tool.name} with these params.", code="denied")
        if decision == "ask" and not self._stored:
            raise ToolError(
                f"TOOL_POLICY asks for an approval before a {asker} runs {tool.name}, and with "
                "ENABLE_PERSISTENCE=false nothing can wait for one.",
                code="denied",
            )
        return decision

    def _may_offer(self, tool: Tool) -> bool:
        denied = self._toolset.policy.decide(tool.name, tool.effect, "model", {}) == "deny"
        return self._granted(tool.name) and not (denied or tool.disabled)

    def _awaited(self, call: _Call) -> Intent:
        expires = call.intent.created + timedelta(seconds=self._toolset.approval_seconds)
        return msgspec.structs.replace(call.intent, expires=expires)

    def _succeeded(self, call: _Call, result: Any) -> Succeeded:
        data = self._masked(msgspec.to_builtins(result))
        keeps = self._stored and OUTPUT_TOOL in self._offered
        rest = f"{OUTPUT_TOOL} with execution_id {call.intent.execution_id} reads on" if keeps else "ask for less"
        return Succeeded(data=data, content=show(data, self._toolset.result_bytes, rest))

    def _masked(self, data: Any) -> Any:
        """The result without secrets. Bytes in base64 stay as they are: what looks like a secret there is chance."""
        binary = binary_names(data)
        if not binary:
            return self._toolset.masker.data(data)
        plain = self._toolset.masker.data({name: data[name] for name in data if name not in binary})
        return {name: data[name] if name in binary else plain[name] for name in data}

    def _failed(self, error: ToolError) -> Failed:
        return Failed(error=self._toolset.masker.text(str(error)), code=error.code)

    async def _close(
        self,
        call: _Call,
        outcome: Succeeded | Failed,
        seconds: float,
        printed: LiveOutput | None = None,
        recording: Recording | None = None,
        *,
        status: "ToolExecution.Status" = ToolExecution.Status.RUNNING,
    ) -> None:
        data = outcome.data if isinstance(outcome, Succeeded) else None
        stored = await self._store(data, printed, recording)
        written = Outcome(
            execution_id=call.intent.execution_id,
            data=row_data(data, self._toolset.result_bytes),
            error=outcome.error if isinstance(outcome, Failed) else "",
            code=outcome.code if isinstance(outcome, Failed) else None,
            ended=timezone.now(),
            duration_ms=round(seconds * 1_000, 3),
            output=printed.excerpt.text() if printed else "",
            output_size=stored.size if stored else None,
            output_sha256=stored.sha256 if stored else "",
            truncated=bool(stored and not stored.whole),
        )
        used = Used(
            owner=self._payer.owner,
            key=self._payer.key,
            tool=call.intent.tool if self._toolset.registry.get(call.intent.tool) else UNKNOWN_TOOL,
            failed=isinstance(outcome, Failed),
            milliseconds=round(seconds * 1_000),
            nanos=_cost(data),
        )
        await self._keep(partial(_close_and_count, written, status, used))
        metrics.tool_ended(used.tool, written.code or "succeeded", seconds if call.refusal is None else 0.0)
        if written.code == "denied":
            self._report(call, used.tool)

    def _report(self, call: _Call, tool: str) -> None:
        """A line for whoever looks for misuse."""
        payer = self._payer
        told = {"tool": tool, "source": call.request.source, "owner": payer.owner, "key": payer.key}
        incidents.report("tool.denied", execution=str(call.intent.execution_id), **told)

    async def _store(self, data: Any, printed: LiveOutput | None, recording: Recording | None) -> Stored | None:
        """Keeps what was printed, or the result of a tool that prints nothing, where the row has no room for it."""
        if recording is None or printed is None:
            return None
        if printed.excerpt.size:
            return await recording.end(keep=printed.excerpt.size > INLINE_BYTES)
        text = msgspec.json.encode(without_binary(data))
        if len(text) <= self._toolset.result_bytes:
            return None
        await recording.add(text.decode())
        return await recording.end(keep=True)


def params_sha256(params: Any) -> str:
    """The hash that an approval is bound to: of the exact params as JSON with sorted names."""
    return hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest()


def _decoded(arguments: str) -> Any:
    """The params; the text itself, where it is not JSON."""
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _values(tool: Tool, arguments: str) -> msgspec.Struct:
    """The validated params. Raises `ToolError` (`invalid_params`) with what would be valid."""
    try:
        return msgspec.json.decode(arguments, type=tool.params)
    except msgspec.ValidationError as error:
        fields = ", ".join(tool.params.__struct_fields__)
        raise ToolError(f"{error}. {tool.name} takes: {fields}.", code="invalid_params") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ToolError(f"The arguments are not a JSON object: {error}.", code="invalid_params") from None


def _waiting(call: _Call, intent: Intent) -> Waiting:
    return Waiting(
        execution_id=str(intent.execution_id),
        params=call.shown_params,
        params_sha256=intent.params_sha256,
        expires_at=_iso(intent.expires),
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else ""


def _refusal(call: _Call, approval: Approval) -> ToolError | None:
    """Why what waited does not run, if it does not."""
    if approval.decision == "cancelled":
        return ToolError("The run was cancelled while the tool waited for an approval.", code="cancelled")
    if approval.decision == "expired":
        return ToolError("Nobody approved it in time.", code="denied")
    if approval.decision == "denied":
        return ToolError(f"It was not approved. {approval.note}".strip(), code="denied")
    if approval.params_sha256 != call.intent.params_sha256:
        return ToolError("What was approved are other params than these.", code="denied")
    return call.refusal


def _cost(data: Any) -> int | None:
    """Billionths of a dollar, of a result that says what it cost; most tools cost nothing."""
    cost = data.get("cost_usd", 0) if isinstance(data, dict) else 0
    return None if cost is None else ceil(cost * NANO)


def _close_and_count(written: Outcome, status: "ToolExecution.Status", used: Used) -> None:
    """Writes what came of an execution, and counts it."""
    close_execution(written, status)
    ledger.add([used], written.ended)
