"""The one door to every tool, for models, callers and the command line: validate, decide, record, run, record."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from spending.accounts import Payer
from storage.ids import new_id
from tools.base import (
    Approval,
    Failed,
    Opened,
    Progress,
    Resolved,
    Succeeded,
    ToolError,
    ToolRequest,
    ToolSpec,
    Waiting,
)
from tools.execution.context import ToolContext
from tools.execution.offered import OfferedTools
from tools.execution.outcome import Keep, OutcomeRecorder
from tools.execution.request import Call, RequestInspector, grant_all
from tools.execution.rows import Intent, Status, open_execution, start_execution
from tools.execution.task import ToolTask
from tools.output.live import LiveOutput
from tools.output.rendering import binary_names, show
from tools.output.store import Recording

logger = logging.getLogger(__name__)

BROKEN = Failed(error="The tool failed by a fault of its own; the service's log says more.", code="failed")
STOPPED = Failed(error="The run was stopped while the tool ran.", code="cancelled")
UNSTARTED = Failed(error="The run was stopped before the tool ran: nothing happened.", code="cancelled")
OUTPUT_TOOL = "output.read"


class ToolExecutor:
    """The door as one run sees it.

    What it does is the `payer`'s. `offer` is what its model is told of, and `granted` says by its name whether a tool
    may be used at all; where nothing is `stored`, nothing can wait for an approval.
    """

    def __init__(
        self,
        toolset: ToolContext,
        payer: Payer,
        keep: Keep,
        *,
        offer: OfferedTools,
        stored: bool,
        granted: Callable[[str], bool] = grant_all,
    ) -> None:
        self._toolset = toolset
        self._payer = payer
        self._keep = keep
        self._closing = OutcomeRecorder(toolset, payer, keep)
        self._stored = stored
        self._inspector = RequestInspector(toolset, payer, offer=offer, stored=stored, granted=granted)

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._inspector.offer.specs

    def only_reads(self, request: ToolRequest) -> bool:
        return self._inspector.only_reads(request)

    async def execute(self, request: ToolRequest) -> AsyncGenerator[Progress]:
        """Runs one tool. Its row is committed before it starts, and its outcome before that is told."""
        call = self._inspector.call(request, new_id())
        opened = Opened(execution_id=str(call.intent.execution_id), params=call.shown_params)
        if call.refusal is None and call.decision == "ask":
            waits = self._awaited(call)
            await self._commit(call, partial(open_execution, waits), opens=Status.AWAITING_APPROVAL)
            yield opened
            yield _waiting(call, waits)
            return
        await self._commit(call, partial(open_execution, call.intent))
        async with aclosing(self._perform(call, opened)) as steps:
            async for step in steps:
                yield step

    async def resume(self, request: ToolRequest, approval: Approval) -> AsyncGenerator[Progress]:
        """Runs, or refuses, what waited. The policy is asked again: what it denies by now, no approval allows."""
        call = self._inspector.call(request, UUID(approval.execution_id))
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        refusal = call.refusal_after(approval)
        start = partial(start_execution, call.intent.execution_id, timezone.now())
        if refusal is None and not await self._commit(call, start):
            refusal = ToolError("It does not await approval any more.", code="cancelled")
        if refusal is not None:
            await self._closing.close(call, self._failed(refusal), status=Status.AWAITING_APPROVAL)
            yield self._failed(refusal)
            return
        async with aclosing(self._perform(call)) as steps:
            async for step in steps:
                yield step

    async def _commit(self, call: Call, job: Callable[[], Any], opens: Status = Status.RUNNING) -> Any:
        """The result of the job that opens the execution. Where the run is stopped meanwhile, it is closed again."""
        try:
            return await self._keep(job)
        except asyncio.CancelledError:
            await self._closing.close(call, UNSTARTED, status=opens)
            raise

    async def _perform(self, call: Call, opened: Opened | None = None) -> AsyncGenerator[Progress]:
        """Runs the tool, whose intent is written down, and writes down what came of it."""
        began = time.perf_counter()
        running: ToolTask | None = None
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
            await self._closing.close(call, STOPPED, time.perf_counter() - began, printed)
            raise
        except Exception:
            logger.exception("tool.broken", extra={"tool": call.request.tool})
        await self._closing.close(call, outcome, time.perf_counter() - began, printed)
        yield outcome

    def _recording(self, call: Call) -> Recording | None:
        return self._toolset.outputs.begin(self._payer.owner, call.intent.execution_id) if self._stored else None

    def _start(self, call: Call) -> ToolTask:
        """The tool at work. Raises the `ToolError` with which it is refused."""
        if call.refusal is not None or call.tool is None or call.values is None:
            raise call.refusal or ToolError("There is no such tool.", code="unknown_tool")
        return ToolTask(call.tool, call.values, self._payer)

    def _awaited(self, call: Call) -> Intent:
        expires = call.intent.created + timedelta(seconds=self._toolset.approval_seconds)
        return msgspec.structs.replace(call.intent, expires=expires)

    def _succeeded(self, call: Call, result: Any) -> Succeeded:
        data = self._masked(msgspec.to_builtins(result))
        keeps = self._stored and OUTPUT_TOOL in self._inspector.offer.names
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


def _waiting(call: Call, intent: Intent) -> Waiting:
    return Waiting(
        execution_id=str(intent.execution_id),
        params=call.shown_params,
        params_sha256=intent.params_sha256,
        expires_at=_iso(intent.expires),
    )


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else ""
