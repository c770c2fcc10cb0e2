"""`GET /healthz`: whether the service can serve, with its providers and its confinement."""

from typing import Any, Literal

from django.db import connection
from django.http import HttpRequest, JsonResponse
from ninja import Router, Schema

from chat import service_registry
from orchestrator_site.settings import VERSION
from storage.reader import read
from storage.writer import StorageUnavailable
from tools import assembly

router = Router(tags=["health"])


class HealthOut(Schema):
    """The health of the service: `providers` are configured or not, `confinement` is what restricts the tools."""

    status: Literal["ok", "unavailable"]
    version: str
    database: Literal["ok", "unavailable"]
    persistence: bool
    providers: dict[str, bool]
    allowed_tools: list[str]
    confinement: dict[str, Any]
    active_runs: int


@router.get("/healthz", auth=None, response={200: HealthOut, 503: HealthOut})
async def health(request: HttpRequest) -> JsonResponse:
    """Return 200 with the health, or 503 if the database does not answer."""

    def select() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    database = "ok"
    try:
        await read(select)
    except StorageUnavailable:
        database = "unavailable"
    current = service_registry.current()
    fields: dict[str, Any] = {
        "status": "ok" if database == "ok" else "unavailable",
        "version": VERSION,
        "database": database,
        "persistence": current.stored,
        "providers": {name: not current.providers.missing(name) for name in current.providers.names},
        "allowed_tools": [tool.name for tool in assembly.registry() if not tool.disabled],
        "confinement": assembly.confinement_levels(),
        "active_runs": current.runs.active,
    }
    return JsonResponse(fields, status=200 if database == "ok" else 503)
