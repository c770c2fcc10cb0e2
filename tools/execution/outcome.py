"""What came of an execution: written down, counted, and told to whoever looks for misuse."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from typing import Any, Final

from django.utils import timezone

from access.limits.budgets import NANO
from access.security_log import security_log
from spending import ledger
from spending.accounts import Payer
from spending.ledger import Used
from telemetry import metrics
from tools.base import Failed, Succeeded
from tools.execution.context import ToolContext
from tools.execution.request import Call
from tools.execution.rows import Outcome, close_execution
from tools.models import ToolExecution
from tools.output.live import LiveOutput
from tools.output.rendering import row_data
from tools.output.store import Stored

Keep = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a sync function in a transaction and gives its result, or does nothing where nothing is stored."""

UNKNOWN_TOOL: Final = "unknown"
"""What calls of tools that there are not are counted as."""


class OutcomeRecorder:
    """Closes the executions of one run, which are the `payer`'s."""

    def __init__(self, toolset: ToolContext, payer: Payer, keep: Keep) -> None:
        self._toolset = toolset
        self._payer = payer
        self._keep = keep

    async def close(
        self,
        call: Call,
        outcome: Succeeded | Failed,
        seconds: float = 0.0,
        printed: LiveOutput | None = None,
        *,
        status: "ToolExecution.Status" = ToolExecution.Status.RUNNING,
    ) -> None:
        """Closes an execution that is open, which is to say in `status`; it took so many seconds.

        Whoever is cancelled meanwhile goes when that is done: nobody else would ever close it.
        """
        closing = asyncio.ensure_future(self._close(call, outcome, seconds, printed, status))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    async def _close(
        self,
        call: Call,
        outcome: Succeeded | Failed,
        seconds: float,
        printed: LiveOutput | None,
        status: "ToolExecution.Status",
    ) -> None:
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
        security_log.report("tool.denied", execution=str(call.intent.execution_id), **told)


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
