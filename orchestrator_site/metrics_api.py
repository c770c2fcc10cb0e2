"""`GET /metrics`: the metrics of the service, for Prometheus."""

import asyncio
from contextlib import suppress
from typing import Final

from django.http import HttpRequest, HttpResponse
from ninja import Router

from access.auth import KeyAuth
from orchestrator_site.settings import VERSION
from storage.reader import read
from storage.writer import StorageUnavailable
from telemetry import metrics
from telemetry.instruments import Rows
from telemetry.prometheus import MEDIA_TYPES, render
from telemetry.worker_totals import worker_totals
from tools.approvals import decisions
from tools.client_tools import results
from web.schemas import errors

router = Router(tags=["health"], auth=KeyAuth("audit"))

ERRORS: Final = errors(400, 401, 403, 429, 503)
NUMBERS: Final = {
    "description": "The numbers of all workers of this machine, summed.",
    "content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES},
}


@router.get("/metrics", response=ERRORS, openapi_extra={"responses": {200: NUMBERS}})
async def get_metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of all workers in Prometheus' text format, or as OpenMetrics if `Accept` asks for it."""
    numbers: dict[str, Rows] = {**worker_totals.all(), metrics.build_info.name: {(VERSION,): [1.0]}}
    # Without the database the other numbers are all the more wanted.
    with suppress(StorageUnavailable):
        numbers[metrics.approvals_waiting.name] = {(): [float(await read(decisions.count_waiting))]}
        numbers[metrics.client_calls_waiting.name] = {(): [float(await read(results.count_waiting))]}
    exposition = await asyncio.to_thread(render, numbers, request.headers.get("Accept", ""))
    return HttpResponse(exposition.body, content_type=exposition.content_type)
