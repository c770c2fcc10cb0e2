"""The executor: the only way to run a tool, for models, callers and the command line.

Each call is inspected once, recorded, run, and recorded again. The row is committed before the tool starts, and its
outcome before anyone sees it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from spending.accounts import Payer
from storage.ids import new_id
from storage.reader import read
from tools.base import (
    Approval,
    ClientWaiting,
    Failed,
    Opened,
    Progress,
    Resolved,
    Source,
    Succeeded,
    TaintSource,
    Tool,
    ToolError,
    ToolRequest,
    ToolSpec,
    Waiting,
)
from tools.execution.context import ToolContext
from tools.execution.offered import OfferedTools
from tools.execution.outcome import (
    CLIENT_TOOL,
    UNKNOWN_TOOL,
    close_and_count,
    data_of,
    found_by,
    masked,
    outcome_row,
    report,
    use_of,
)
from tools.execution.permission import Permission
from tools.execution.request import (
    Call,
    grant_all,
    inspect_client_call,
    parse_params,
    prechecked,
    previewed,
    shown_whole,
    validate,
)
from tools.execution.rows import ExecutionMemory, Intent, Status, open_execution, requested_call, start_execution
from tools.execution.taint import Taint
from tools.execution.task import ToolTask
from tools.output.live import LiveOutput
from tools.output.rendering import show

logger = logging.getLogger(__name__)

BROKEN: Final = Failed(error="The tool failed because of an internal error; see the service's log.", code="failed")
STOPPED: Final = Failed(error="The run was stopped while the tool ran.", code="cancelled")
UNSTARTED: Final = Failed(error="The run was stopped before the tool ran: nothing happened.", code="cancelled")
OUTPUT_TOOL: Final = "output.read"

Write = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a sync function in a transaction and returns its result, or does nothing if nothing is stored."""


class ToolExecutor:
    """Runs the tools of one run.

    The `payer` owns the executions. `offered` is what the run's model may call, and `granted` says whether the caller
    may use a tool, by its name. If nothing is `stored`, no call can wait for an approval. `taint` is that of the run's
    conversation, to which calls that bring texts from outside add their source.
    """

    def __init__(
        self,
        context: ToolContext,
        payer: Payer,
        write: Write,
        *,
        offered: OfferedTools,
        stored: bool,
        granted: Callable[[str], bool] = grant_all,
        taint: Taint | None = None,
    ) -> None:
        self._context = context
        self._payer = payer
        self._write = write
        self._offered = offered
        self._stored = stored
        self._taint = taint or Taint()
        self._permission = Permission(context.policy, granted, stored=stored)

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._offered.specs

    def inspect(self, request: ToolRequest) -> Call:
        """Return the request with its tool, its validated params and the policy's decision. Nothing happens yet."""
        masker = self._context.masker
        if request.source == "model" and (client_tool := self._offered.client.get(request.tool)):
            return inspect_client_call(request, client_tool, masker)
        try:
            tool = self._tool(request)
        except ToolError as error:
            return Call(request=request, params=parse_params(request, None, masker), refusal=error)
        params = parse_params(request, tool, masker)
        try:
            values = validate(tool, params)
            self._permission.check_granted(tool.needs(values))
            facets = tool.facets(values)
            decision = self._permission.decide(tool, request.source, values, self._taint, facets)
        except ToolError as error:
            return Call(request=request, params=params, tool=tool, refusal=error)
        if decision == "ask":
            try:
                params = shown_whole(params, masker)
            except ToolError as error:
                return Call(request=request, params=params, tool=tool, refusal=error)
        only_reads = tool.effect == "read" and decision == "allow" and tool.authorize is None
        return Call(
            request=request,
            params=params,
            tool=tool,
            values=values,
            facets=facets,
            decision=decision,
            only_reads=only_reads,
        )

    async def execute(self, call: Call) -> AsyncGenerator[Progress]:
        """Run one tool. Its row is committed before it starts, and its outcome before it is yielded."""
        if call.refusal is None and call.decision == "ask":
            call = await previewed(await prechecked(call), self._context.masker)
        execution_id, tool = new_id(), call.tool
        if call.refusal is None and tool is not None and tool.authorize is not None:
            seconds, decides = self._context.approval_seconds, call.decision == "allow"
            if link := await tool.authorize(self._payer, execution_id, seconds, decides):
                call = call.with_link(link)
        intent = call.intent(execution_id, self._payer, self._context.masker)
        opened = Opened(execution_id=str(intent.execution_id), tool=intent.tool, params=call.shown_params)
        if intent.status != Status.RUNNING:
            async for step in self._wait(call, intent, opened):
                yield step
            return
        await self._commit(call, intent, partial(open_execution, intent))
        async with aclosing(self._perform(call, intent, opened)) as steps:
            async for step in steps:
                yield step

    async def _wait(self, call: Call, intent: Intent, opened: Opened) -> AsyncGenerator[Progress]:
        """Record a call that waits for a decision, or for its result from the client."""
        context = self._context
        expires = intent.created + timedelta(
            seconds=context.client_seconds if call.by_client else context.approval_seconds
        )
        taint = {} if call.by_client else self._taint.sources
        intent = msgspec.structs.replace(intent, expires=expires, taint=taint or None)
        await self._commit(call, intent, partial(open_execution, intent), opens=intent.status)
        fields = {"owner": self._payer.owner, "key": self._payer.key, "run": str(self._payer.run_id or "")}
        asked = "client_tool.asked" if call.by_client else "approval.asked"
        logger.info(asked, extra={"execution": opened.execution_id, "tool": intent.tool, **fields})
        yield msgspec.structs.replace(opened, waits_for="client" if call.by_client else "approval")
        until = expires.isoformat(timespec="seconds").replace("+00:00", "Z")
        if call.by_client:
            yield ClientWaiting(
                execution_id=opened.execution_id, params=intent.params, call_id=intent.call_id, expires_at=until
            )
            return
        yield Waiting(
            execution_id=opened.execution_id,
            params=call.shown_params,
            params_sha256=intent.params_sha256,
            expires_at=until,
            taint=taint,
        )

    async def resume(self, call: Call, approval: Approval) -> AsyncGenerator[Progress]:
        """Run or refuse a call that waited. Inspect it again before this: the policy overrules an approval."""
        intent = call.intent(UUID(approval.execution_id), self._payer, self._context.masker)
        yield Resolved(execution_id=approval.execution_id, decision=approval.decision)
        if approval.decision == "approved":
            try:
                call = await previewed(call, self._context.masker)
            except asyncio.CancelledError:
                await self._close(call, intent, UNSTARTED, status=Status.AWAITING_APPROVAL)
                raise
        refusal = call.refusal_after(approval)
        start = partial(start_execution, intent.execution_id, intent.created)
        if refusal is None and not await self._commit(call, intent, start):
            refusal = ToolError("The call no longer awaits approval.", code="cancelled")
        if refusal is not None:
            await self._close(call, intent, self._failed(refusal), status=Status.AWAITING_APPROVAL)
            yield self._failed(refusal)
            return
        async with aclosing(self._perform(call, intent)) as steps:
            async for step in steps:
                yield step

    async def _commit(self, call: Call, intent: Intent, job: Callable[[], Any], opens: Status = Status.RUNNING) -> Any:
        """Return the result of the job that opens the execution."""
        try:
            return await self._write(job)
        except asyncio.CancelledError:
            # The writer may commit the job all the same, and then the row would stay open.
            await self._close(call, intent, UNSTARTED, status=opens)
            raise

    async def _perform(self, call: Call, intent: Intent, opened: Opened | None = None) -> AsyncGenerator[Progress]:
        """Run the tool whose intent is committed, and record its outcome."""
        began = time.perf_counter()
        task: ToolTask | None = None
        taint: TaintSource | None = None
        recording = self._context.outputs.begin(self._payer.owner, intent.execution_id) if self._stored else None
        printed = LiveOutput(self._context.masker, recording)
        outcome: Succeeded | Failed = BROKEN
        try:
            if opened is not None:
                yield opened
            task, taint = await self._start(call, intent)
            async for piece in task.output():
                for shown in await printed.take(piece):
                    yield shown
            for shown in await printed.end():
                yield shown
            outcome = self._succeeded(intent, await task.result())
        except ToolError as error:
            outcome = self._failed(error)
        except (asyncio.CancelledError, GeneratorExit):
            if task is not None:
                await task.stop()
            await self._close(call, intent, STOPPED, time.perf_counter() - began, printed)
            raise
        except Exception:
            logger.exception("tool.broken", extra={"tool": call.request.tool})
        # An error can carry a text from outside, as a result does.
        await self._close(call, intent, outcome, time.perf_counter() - began, printed, taint=taint)
        yield outcome

    async def _start(self, call: Call, intent: Intent) -> tuple[ToolTask, TaintSource | None]:
        """Start the tool of a call, and return the source of the texts from outside that it brings.

        Raises `ToolError` if the call is refused.
        """
        if call.refusal is not None or call.tool is None or call.values is None:
            raise call.refusal or ToolError("There is no such tool.", code="unknown_tool")
        source, taint = call.request.source, call.tool.taint_of(call.facets)
        if call.tool.name == OUTPUT_TOOL and self._stored:
            taint = await self._check_output(call.params.given["execution_id"], source)
        permits = self._permission.permits(call.tool, source, call.values, call.decision, self._taint)
        run_id = self._payer.run_id
        record = self._context.changes.of(run_id).record if self._stored and run_id else None
        memory = ExecutionMemory(intent.execution_id, intent.owner, intent.tool, self._write) if self._stored else None
        preview = call.preview.value if call.preview else None
        task = ToolTask(
            call.tool,
            call.values,
            self._payer,
            permits=permits,
            record=record,
            preview=preview,
            memory=memory,
            offered=self._offered.searchable,
        )
        return task, taint

    async def _close(
        self,
        call: Call,
        intent: Intent,
        outcome: Succeeded | Failed,
        seconds: float = 0.0,
        printed: LiveOutput | None = None,
        *,
        status: Status = Status.RUNNING,
        taint: TaintSource | None = None,
    ) -> None:
        """Record the outcome of an execution in `status`, which took so many seconds, with the taint that it brings."""
        recording = asyncio.ensure_future(
            self._record(call, intent, outcome, seconds=seconds, printed=printed, status=status, taint=taint)
        )
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            # Nothing else would ever close the row, so a cancelled caller waits for this too.
            await recording
            raise

    async def _record(
        self,
        call: Call,
        intent: Intent,
        outcome: Succeeded | Failed,
        *,
        seconds: float,
        printed: LiveOutput | None,
        status: Status,
        taint: TaintSource | None,
    ) -> None:
        max_bytes = self._context.result_bytes
        stored = await printed.store(data_of(outcome), max_bytes) if printed else None
        text = printed.excerpt.text() if printed else ""
        row = outcome_row(intent.execution_id, outcome, seconds, printed=text, stored=stored, max_bytes=max_bytes)
        # A model may invent any name: each would be a label of its own in the ledger and in the metrics.
        other = CLIENT_TOOL if call.by_client else UNKNOWN_TOOL
        tool = intent.tool if self._context.registry.get(intent.tool) else other
        used = use_of(self._payer, tool, outcome, seconds)
        # The taint commits with the outcome, so no model reads a text whose source is not stored.
        tainting = self._taint.store if self._taint.add(taint, intent.tool) else None
        await self._write(partial(close_and_count, row, status, used, tainting))
        report(row, used, call.request.source, seconds if call.refusal is None else 0.0)

    def _tool(self, request: ToolRequest) -> Tool:
        """Return the requested tool. Raises `ToolError` if it does not exist, is not granted, or is disabled."""
        registry = self._context.registry.at(self._payer)
        tool = registry.get(request.tool)
        if tool is not None:
            self._permission.check_granted((tool.name,))
        # To a model, a tool outside the request's choice does not exist: it never saw the name.
        if tool is None or (request.source == "model" and request.tool not in self._offered.chosen):
            valid = registry.names if request.source == "caller" else self._offered.names
            raise ToolError(
                f"There is no tool {request.tool[:80]!r}; there are {', '.join(valid) or 'none'}.", code="unknown_tool"
            )
        if tool.disabled:
            raise ToolError(f"{tool.name} is off: {tool.disabled}.", code="disabled")
        return tool

    async def _check_output(self, execution_id: str, source: Source) -> TaintSource | None:
        """Check that the caller may run the call whose output it reads, and return the taint that this call brought.

        Raises `ToolError` (`denied`).
        """
        requested = await read(requested_call, execution_id, self._payer.owner)
        if requested is None:
            return None
        tool = self._context.registry.at(self._payer).get(requested[0])
        if tool is None:
            # The tools of servers can go, and their outputs stay.
            return "mcp"
        self._permission.check_granted((tool.name,))
        try:
            values = tool.converted(requested[1])
        except msgspec.ValidationError:
            return tool.taints
        # Nothing leaves when an output is read, so the taint of this conversation cannot be a reason to refuse it.
        facets = tool.facets(values)
        self._permission.decide(tool, source, values, Taint(), facets)
        return tool.taint_of(facets)

    def _succeeded(self, intent: Intent, result: Any) -> Succeeded:
        try:
            data = masked(msgspec.to_builtins(result), self._context.masker)
        except RecursionError:
            # A server may answer with any JSON, which is not a fault of the service.
            raise ToolError(
                "The call was made, and its result is nested too deeply to be kept.", code="failed"
            ) from None
        pages = self._stored and OUTPUT_TOOL in self._offered.names
        rest = f"{OUTPUT_TOOL} with execution_id {intent.execution_id} reads the rest" if pages else "ask for less"
        return Succeeded(data=data, content=show(data, self._context.result_bytes, rest), found=found_by(result))

    def _failed(self, error: ToolError) -> Failed:
        return Failed(error=self._context.masker.text(str(error)), code=error.code)
