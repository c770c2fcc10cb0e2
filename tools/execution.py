"""The one door to every tool, for models, callers and the command line: validate, decide, record, run, record."""

import asyncio
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
from tools.inspection import Call, Inspector, everything
from tools.live_output import LiveOutput
from tools.models import ToolExecution
from tools.outputs import Recording, Stored
from tools.record import Intent, Outcome, close_execution, open_execution, start_execution
from tools.running import Running
from tools.showing import binary_names, row_data, show
from tools.toolset import Toolset

logger = logging.getLogger(__name__)

Keep = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a sync function in a transaction and gives its result, or does nothing where nothing is stored."""

BROKEN = Failed(error="The tool failed by a fault of its own; the service's log says more.", code="failed")
STOPPED = Failed(error="The run was stopped while the tool ran.", code="cancelled")
OUTPUT_TOOL = "output.read"

UNKNOWN_TOOL: Final = "unknown"
"""What calls of tools that there are not are counted as."""


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
        self._inspector = Inspector(toolset, payer, offered=offered, stored=stored, granted=granted)

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._inspector.specs()

    def only_reads(self, request: ToolRequest) -> bool:
        return self._inspector.only_reads(request)

    async def execute(self, request: ToolRequest) -> AsyncGenerator[Progress]:
        """Runs one tool. Its row is committed before it starts, and its outcome before that is told."""
        call = self._inspector.call(request, new_id())
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
        call = self._inspector.call(request, UUID(approval.execution_id))
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        refusal = call.refusal_after(approval)
        if refusal is None and not await self._keep(partial(start_execution, call.intent.execution_id, timezone.now())):
            refusal = ToolError("It does not await approval any more.", code="cancelled")
        if refusal is not None:
            await self._close(call, self._failed(refusal), 0.0, status=ToolExecution.Status.AWAITING_APPROVAL)
            yield self._failed(refusal)
            return
        async with aclosing(self._perform(call)) as steps:
            async for step in steps:
                yield step

    async def _perform(self, call: Call, opened: Opened | None = None) -> AsyncGenerator[Progress]:
        """Runs the tool, whose intent is written down, and writes down what came of it."""
        began = time.perf_counter()
        running: Running | None = None
        printed = LiveOutput(self._toolset.masker, self._recording(call))
        outcome: Succeeded | Failed = BROKEN
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
            await self._close(call, STOPPED, time.perf_counter() - began, printed)
            raise
        except Exception:
            logger.exception("tool.broken", extra={"tool": call.request.tool})
        await self._close(call, outcome, time.perf_counter() - began, printed)
        yield outcome

    def _recording(self, call: Call) -> Recording | None:
        return self._toolset.outputs.begin(self._payer.owner, call.intent.execution_id) if self._stored else None

    def _start(self, call: Call) -> Running:
        """The tool at work. Raises the `ToolError` with which it is refused."""
        if call.refusal is not None or call.tool is None or call.values is None:
            raise call.refusal or ToolError("There is no such tool.", code="unknown_tool")
        return Running(call.tool, call.values, self._payer)

    def _awaited(self, call: Call) -> Intent:
        expires = call.intent.created + timedelta(seconds=self._toolset.approval_seconds)
        return msgspec.structs.replace(call.intent, expires=expires)

    def _succeeded(self, call: Call, result: Any) -> Succeeded:
        data = self._masked(msgspec.to_builtins(result))
        keeps = self._stored and self._inspector.offers(OUTPUT_TOOL)
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
        call: Call,
        outcome: Succeeded | Failed,
        seconds: float,
        printed: LiveOutput | None = None,
        *,
        status: "ToolExecution.Status" = ToolExecution.Status.RUNNING,
    ) -> None:
        """Writes down what came of an execution that is open in `status`, counts it, and reports what was denied."""
        stored = await printed.store(_data(outcome), self._toolset.result_bytes) if printed else None
        written = self._written(call, outcome, seconds, printed.excerpt.text() if printed else "", stored)
        used = self._used(call, outcome, seconds)
        await self._keep(partial(_close_and_count, written, status, used))
        metrics.tool_ended(used.tool, written.code or "succeeded", seconds if call.refusal is None else 0.0)
        if written.code == "denied":
            self._report(call, used.tool)

    def _written(
        self, call: Call, outcome: Succeeded | Failed, seconds: float, output: str, stored: Stored | None
    ) -> Outcome:
        return Outcome(
            execution_id=call.intent.execution_id,
            data=row_data(_data(outcome), self._toolset.result_bytes),
            error=outcome.error if isinstance(outcome, Failed) else "",
            code=outcome.code if isinstance(outcome, Failed) else None,
            ended=timezone.now(),
            duration_ms=round(seconds * 1_000, 3),
            output=output,
            output_size=stored.size if stored else None,
            output_sha256=stored.sha256 if stored else "",
            truncated=bool(stored and not stored.whole),
        )

    def _used(self, call: Call, outcome: Succeeded | Failed, seconds: float) -> Used:
        return Used(
            owner=self._payer.owner,
            key=self._payer.key,
            tool=call.intent.tool if self._toolset.registry.get(call.intent.tool) else UNKNOWN_TOOL,
            failed=isinstance(outcome, Failed),
            milliseconds=round(seconds * 1_000),
            nanos=_cost(_data(outcome)),
        )

    def _report(self, call: Call, tool: str) -> None:
        """A line for whoever looks for misuse."""
        payer = self._payer
        told = {"tool": tool, "source": call.request.source, "owner": payer.owner, "key": payer.key}
        incidents.report("tool.denied", execution=str(call.intent.execution_id), **told)


def _waiting(call: Call, intent: Intent) -> Waiting:
    return Waiting(
        execution_id=str(intent.execution_id),
        params=call.shown_params,
        params_sha256=intent.params_sha256,
        expires_at=_iso(intent.expires),
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else ""


def _data(outcome: Succeeded | Failed) -> Any:
    return outcome.data if isinstance(outcome, Succeeded) else None


def _cost(data: Any) -> int | None:
    """Billionths of a dollar, of a result that says what it cost; most tools cost nothing."""
    cost = data.get("cost_usd", 0) if isinstance(data, dict) else 0
    return None if cost is None else ceil(cost * NANO)


def _close_and_count(written: Outcome, status: "ToolExecution.Status", used: Used) -> None:
    """Writes what came of an execution, and counts it."""
    close_execution(written, status)
    ledger.add([used], written.ended)
