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
from tools.output.live import LiveOutput
from web.errors import ApiError


async def store_result(caller: Caller, execution_id: UUID, data: Any, error: str | None) -> dict[str, Any]:
    """Mask and bound a client's result as that of every tool, store it, and return the execution.

    Raises `ApiError` (404, 409) and `StorageUnavailable`.
    """
    given = {"data": data} if error is None else {"error": error}
    digest = hashlib.sha256(msgspec.json.encode(given, order="sorted")).hexdigest()
    context = assembly.tool_context()
    try:
        row = await read(results.checked, execution_id, caller.owner, digest)
        if row.result_sha256:
            return queries.as_dict(row)
        shown = masked(data, context.masker)
        outcome: Succeeded | Failed = Succeeded(data=shown, content="")
        if error is not None:
            outcome = Failed(error=context.masker.text(error), code="failed")
        output = LiveOutput(context.masker, context.outputs.begin(row.owner, row.id))
        stored = await output.store(shown, context.result_bytes)
        seconds = (timezone.now() - row.created).total_seconds()
        closed = outcome_row(row.id, outcome, seconds, printed="", stored=stored, max_bytes=context.result_bytes)
        # A cost that the data states is the client's own, and not the service's.
        used = Used(owner=row.owner, key=payer(caller).key, tool=CLIENT_TOOL, failed=error is not None)
        row = await writer.write(partial(results.give, closed, used, row.owner, digest))
    except results.ResultRefused as refused:
        status = 404 if isinstance(refused, results.ExecutionMissing) else 409
        raise ApiError(status, refused.code, str(refused)) from None
    metrics.tool_ended(CLIENT_TOOL, closed.code or "succeeded", seconds)
    return queries.as_dict(row)
