"""`Idempotency-Key`s: a request that is sent again with the same key does not begin a second run.

    KeyMismatch           the key was used with another body
    AlreadyBegun          the request has begun a run before, with the same key or as the resumption of the same run

The database stores the keys. If nothing is stored, the process remembers them for as long as their runs.
"""

from collections.abc import Callable
from typing import NoReturn
from uuid import UUID

import msgspec

from chat.models import RunKey
from storage.statements import Insert, Statement

_find = Statement("SELECT body_sha256, run_id FROM run_keys WHERE owner = %s AND key = %s")
_insert = Insert(RunKey, "owner", "run", "key", "body_sha256")


class KeyMismatch(Exception):
    """The `Idempotency-Key` was used with another body."""


class AlreadyBegun(Exception):
    """The request has begun a run before: `run_id`."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An `Idempotency-Key`, and the hash of its request's body."""

    key: str
    body_sha256: str


def check(owner: str, key: Key) -> None:
    """Raise `AlreadyBegun` or `KeyMismatch` if the key is stored. Sync, within a transaction."""
    for body_sha256, run_id in _find(owner, key.key):
        # SQLite has a UUID as text.
        _reject(key, body_sha256, UUID(str(run_id)))


def store(owner: str, key: Key, run_id: UUID) -> None:
    """Store the key of a run that begins. Sync, within a transaction."""
    _insert([(owner, run_id, key.key, key.body_sha256)])


class UnstoredKeys:
    """The keys of runs that are not stored. `find` returns an owner's run in this process."""

    def __init__(self, find: Callable[[UUID, str], object | None]) -> None:
        self._find = find
        self._known: dict[tuple[str, str], tuple[str, UUID]] = {}

    def remember(self, owner: str, key: Key, run_id: UUID) -> None:
        """Remember a key. Raise `AlreadyBegun` or `KeyMismatch` if its run still exists."""
        # Nothing else removes the keys of runs that are gone.
        known = {name: entry for name, entry in self._known.items() if self._find(entry[1], name[0])}
        entry = known.get((owner, key.key))
        if entry is not None:
            _reject(key, *entry)
        known[owner, key.key] = (key.body_sha256, run_id)
        self._known = known


def _reject(key: Key, body_sha256: str, run_id: UUID) -> NoReturn:
    if body_sha256 != key.body_sha256:
        raise KeyMismatch
    raise AlreadyBegun(run_id)
