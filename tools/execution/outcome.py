"""The outcome of an execution: its row, and its entry in the ledger of use."""

from collections.abc import Callable
from math import ceil
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from access.limits.budgets import NANO
from access.security_log import security_log
from spending import ledger
from spending.accounts import Payer
from spending.ledger import Used
from telemetry import metrics
from tools.base import Failed, Source, Succeeded
from tools.execution.rows import Outcome, close_execution
from tools.models import ToolExecution
from tools.output.masking import Masker
from tools.output.rendering import binary_names, row_data
from tools.output.store import Stored
from tools.tool_search.search_tool import FoundTools

UNKNOWN_TOOL: Final = "unknown"
"""The name under which calls of tools that do not exist are counted."""

CLIENT_TOOL: Final = "client"
"""The name under which calls of all client tools are counted."""


def found_by(result: Any) -> tuple[str, ...]:
    """Return the names of the tools that a call has found."""
    return tuple(tool.name for tool in result.tools) if isinstance(result, FoundTools) else ()


def outcome_row(
    execution_id: UUID,
    outcome: Succeeded | Failed,
    seconds: float,
    *,
    printed: str,
    stored: Stored | None,
    max_bytes: int,
) -> Outcome:
    """Return the row of an outcome. `printed` is live output, `stored` is the whole output in the store."""
    return Outcome(
        execution_id=execution_id,
        data=row_data(data_of(outcome), max_bytes),
        error=outcome.error if isinstance(outcome, Failed) else "",
        code=outcome.code if isinstance(outcome, Failed) else None,
        ended=timezone.now(),
        duration_ms=round(seconds * 1_000, 3),
        output=printed,
        output_size=stored.size if stored else None,
        output_sha256=stored.sha256 if stored else "",
        truncated=bool(stored and not stored.whole),
    )


def masked(data: Any, masker: Masker) -> Any:
    """Return a result with its secrets masked."""
    # Base64 fields are not masked: what looks like a secret in them is chance, and masking would break them.
    binary = binary_names(data)
    if not binary:
        return masker.data(data)
    plain = masker.data({name: data[name] for name in data if name not in binary})
    return {name: data[name] if name in binary else plain[name] for name in data}


def data_of(outcome: Succeeded | Failed) -> Any:
    return outcome.data if isinstance(outcome, Succeeded) else None


def use_of(payer: Payer, tool: str, outcome: Succeeded | Failed, seconds: float) -> Used:
    """Return the ledger's entry of an execution that took so many seconds."""
    data = data_of(outcome)
    # Only tools that call a paid service state a cost; None means that the price is unknown.
    cost = data.get("cost_usd", 0) if isinstance(data, dict) else 0
    return Used(
        owner=payer.owner,
        key=payer.key,
        tool=tool,
        failed=isinstance(outcome, Failed),
        milliseconds=round(seconds * 1_000),
        nanos=None if cost is None else ceil(cost * NANO),
    )


def report(row: Outcome, used: Used, source: Source, seconds: float) -> None:
    """Count the end of an execution in the metrics, and report a denied one. Its tool ran so many seconds."""
    metrics.tool_ended(used.tool, row.code or "succeeded", seconds)
    if row.code == "denied":
        fields = {"source": source, "owner": used.owner, "key": used.key}
        security_log.report("tool.denied", execution=str(row.execution_id), tool=used.tool, **fields)


def close_and_count(
    row: Outcome, status: "ToolExecution.Status", used: Used, tainting: Callable[[], None] | None = None
) -> None:
    """Store the outcome of an execution that is still in `status`, and count it. Call it in a transaction.

    `tainting` stores the taint that the outcome brings, if it is new.
    """
    close_execution(row, status)
    ledger.add([used], row.ended)
    if tainting is not None:
        tainting()
