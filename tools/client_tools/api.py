"""Results of client tools, for callers of the API."""

import hashlib
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from access.caller import Caller
from spending.accounts import payer
from spending.ledger import Used
from storage.reader import read
from storage.writer import writer
from telemetry import metrics
from tools import assembly, queries
from tools.base import Failed, Succeeded
from tools.client_tools import results
from tools.execution.outcome import CLIENT_TOOL, masked, outcome_row
from tools.models import ToolExecution
from tools.output.live import LiveOutput
from web.errors import ApiError


async def store_result(caller: Caller, execution_id: UUID, data: Any, error: str | None) -> dict[str, Any]:
    """Store a client's result, and return the execution. Raises `ApiError` (404, 409) and `StorageUnavailable`."""
    given = {"data": data} if error is None else {"error": error}
    digest = hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest()
    try:
        row = await read(results.checked, execution_id, caller.owner, digest)
        if not row.result_sha256:
            row = await _stored(caller, row, given, digest)
    except results.ResultRefused as refused:
        status = 404 if isinstance(refused, results.ExecutionMissing) else 409
        raise ApiError(status, refused.code, str(refused)) from None
    return queries.as_dict(row)


async def _stored(caller: Caller, row: ToolExecution, given: dict[str, Any], digest: str) -> ToolExecution:
    """Mask and bound a result as that of every tool, and store it. Raises `ResultRefused`."""
    context = assembly.tool_context()
    data = masked(given.get("data"), context.masker)
    outcome: Succeeded | Failed = Succeeded(data=data, content="")
    if "error" in given:
        outcome = Failed(error=context.masker.text(given["error"]), code="failed")
    output = LiveOutput(context.masker, context.outputs.begin(row.owner, row.id))
    stored = await output.store(data, context.result_bytes)
    seconds = (timezone.now() - row.created).total_seconds()
    closed = outcome_row(row.id, outcome, seconds, printed="", stored=stored, max_bytes=context.result_bytes)
    # A cost that the data states is the client's own, and not the service's.
    used = Used(owner=row.owner, key=payer(caller).key, tool=CLIENT_TOOL, failed=isinstance(outcome, Failed))
    answered: ToolExecution = await writer.write(partial(results.give, closed, used, row.owner, digest))
    metrics.tool_ended(CLIENT_TOOL, closed.code or "succeeded", seconds)
    return answered
