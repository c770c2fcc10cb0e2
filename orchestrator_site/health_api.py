"""`GET /livez`, `/readyz` and `/healthz`: whether the process runs, whether it can serve, and with what."""

import asyncio
from typing import Any, Final, Literal

from django.db import connection
from django.http import HttpRequest, JsonResponse
from ninja import Field, Router, Schema

from chat import service_registry
from orchestrator_site.settings import VERSION
from storage.per_loop import PerLoop
from storage.reader import read
from storage.writer import StorageUnavailable
from tools import assembly
from tools.listing import confinement_levels

router = Router(tags=["health"])

DATABASE_SECONDS: Final = 1.0
"""Seconds in which the database must answer. Probes commonly wait for one second or more."""

Status = Literal["ok", "draining", "unavailable"]


class StatusOut(Schema):
    """The state of the process."""

    status: Status = Field(
        description="`ok`, `draining` from SIGTERM on, or `unavailable` while the database does not answer."
    )


class HealthOut(StatusOut):
    """The state of the service and of its parts."""

    version: str = Field(description="The version of the service.")
    database: Literal["ok", "unavailable"] = Field(description="`ok` if the database answers within a second.")
    persistence: bool = Field(description="The setting `ENABLE_PERSISTENCE`.")
    providers: dict[str, bool] = Field(description="The providers of models, and whether each is configured.")
    allowed_tools: list[str] = Field(description="The tools that are on.")
    confinement: dict[str, Any] = Field(description="The levels that confine the tools, and why a level is missing.")
    active_runs: int = Field(description="The number of runs of this process.")


class DatabaseProbe:
    """The question whether the database answers. It is asked once at a time, however many probes wait for it."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[bool] | None = None

    async def answers(self) -> bool:
        """Return whether it answers within `DATABASE_SECONDS`."""
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.get_running_loop().create_task(self._ask())
        # Another probe may ask again before this one continues.
        done, _ = await asyncio.wait({asking}, timeout=DATABASE_SECONDS)
        return bool(done) and asking.result()

    async def _ask(self) -> bool:
        def select() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

        try:
            await read(select)
        except StorageUnavailable:
            return False
        return True


_probes = PerLoop(DatabaseProbe)


@router.get("/livez", auth=None, response=StatusOut)
async def get_liveness(request: HttpRequest) -> JsonResponse:
    """Return 200 while the process answers requests. Restart it when it does not."""
    return JsonResponse({"status": "ok"})


@router.get("/readyz", auth=None, response={200: StatusOut, 503: StatusOut})
async def get_readiness(request: HttpRequest) -> JsonResponse:
    """Return 200, or 503 if new runs are refused: from SIGTERM on, and while the database does not answer."""
    status = _status(has_database=await _probes.current().answers())
    return JsonResponse({"status": status}, status=200 if status == "ok" else 503)


@router.get("/healthz", auth=None, response={200: HealthOut, 503: HealthOut})
async def get_health(request: HttpRequest) -> JsonResponse:
    """Return what `/readyz` returns, with the parts of the service.

    A request under a host name that is not in `ALLOWED_HOSTS` gets only the status.
    """
    has_database = await _probes.current().answers()
    current = service_registry.current()
    status = _status(has_database=has_database)
    fields: dict[str, Any] = {
        "status": status,
        "version": VERSION,
        "database": "ok" if has_database else "unavailable",
        "persistence": current.stored,
        "providers": {name: not current.providers.missing(name) for name in current.providers.names},
        "allowed_tools": [tool.name for tool in assembly.registry() if not tool.disabled],
        "confinement": confinement_levels(),
        "active_runs": current.runs.active,
    }
    return JsonResponse(fields, status=200 if status == "ok" else 503)


def _status(*, has_database: bool) -> Status:
    if service_registry.current().runs.is_closing:
        return "draining"
    return "ok" if has_database else "unavailable"
