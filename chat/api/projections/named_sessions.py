"""Sessions that a client names, the chats of the AI SDK and the threads of AG-UI, and requests that it repeats."""

import hashlib
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid5

import msgspec

from access.caller import Caller
from chat.history import queries
from chat.runs.start.idempotency import Key
from storage.reader import read

NAMESPACE: Final = UUID("6c1cf2de-6f0e-5d1b-9b5c-3d1d4b5f7a10")


class NamedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the caller, or the id that it will have."""

    id: UUID
    exists: bool = False
    active_run: UUID | None = None


async def named_session(name: str, caller: Caller) -> NamedSession:
    """Return the session that the caller calls by this name, which may be its id. Raise `StorageUnavailable`."""
    # The owner is part of the hash, so the same name of another owner is another session.
    own = uuid5(NAMESPACE, f"{caller.owner}\n{name}")
    ids = [own]
    with suppress(ValueError):
        ids.append(UUID(name))
    for session_id in ids:
        if (found := await read(queries.active_run, session_id, caller.owner)) is not None:
            return NamedSession(id=session_id, exists=True, active_run=found[0])
    return NamedSession(id=own)


def repeat_key(protocol: str, *parts: object) -> Key:
    """Return a key for a request of these parts, by which the same one that is sent again begins no second run."""
    digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    return Key(key=f"{protocol}:{digest}", body_sha256=digest)
