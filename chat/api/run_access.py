"""The runs that a caller may read: the owner as whom, and what the API shows of a run."""

from typing import Any
from uuid import UUID

from access.caller import Caller
from chat import service_registry
from chat.api.errors import not_found
from chat.history import queries
from storage.reader import read


async def owner_of(run_id: UUID, caller: Caller) -> str:
    """Return the owner as whom the caller may read the run. Raise `ApiError` (404) and `StorageUnavailable`."""
    # Only a caller who may read everything gets the real owner. For others, runs of other owners do not exist.
    if caller.reads is not None or not service_registry.current().stored:
        return caller.owner
    if service_registry.current().runs.find(run_id, caller.owner) is not None:
        return caller.owner
    owner = await read(queries.owner_of, run_id)
    if owner is None:
        raise not_found("run")
    return owner


async def run_fields(run_id: UUID, owner: str) -> dict[str, Any] | None:
    """Return a run as the API shows it; None if the owner has no such run. Raise `StorageUnavailable`."""
    live = service_registry.current().runs.find(run_id, owner)
    return live.snapshot() if live is not None else await read(queries.run, run_id, owner)
