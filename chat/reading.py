"""As whom a caller reads a run."""

from uuid import UUID

from access.callers import Caller
from chat import records, services
from chat.refusals import not_found
from storage.reader import read


async def owner_of(run_id: UUID, caller: Caller) -> str:
    """The run's owner, as whom the caller may read it. Raises `Refusal` (404) and `StorageUnavailable`.

    A caller who reads their own things alone reads as themselves, whatever there is.
    """
    if caller.reads is not None or not services.current().stored:
        return caller.owner
    if services.current().supervisor.find(run_id, caller.owner) is not None:
        return caller.owner
    owner = await read(records.owner_of, run_id)
    if owner is None:
        raise not_found("run")
    return owner
