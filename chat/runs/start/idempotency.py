"""`Idempotency-Key`s: what one of them began is not begun again.

KeyMismatch           the key was used with another body
AlreadyBegun          what is asked for was begun before, by the same key or as the resumption of the same run

They are known by the database; where nothing is stored, by this process, for as long as their runs are.
"""

from collections.abc import Callable
from typing import NoReturn
from uuid import UUID

import msgspec

from chat.models import RunKey


class KeyMismatch(Exception):
    """The `Idempotency-Key` was used with another body."""


class AlreadyBegun(Exception):
    """What is asked for has begun before, as run `run_id`."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An `Idempotency-Key`, and the hash of the body that it came with."""

    key: str
    body_sha256: str


def check(owner: str, key: Key) -> None:
    """Raises `AlreadyBegun` and `KeyMismatch` for a key that is stored. Sync, within a transaction."""
    known = RunKey.objects.filter(owner=owner, key=key.key).first()
    if known is not None:
        _refuse(key, known.body_sha256, known.run_id)


def keep(owner: str, key: Key, run_id: UUID) -> None:
    """Stores the key of a run that begins. Sync, within a transaction."""
    RunKey.objects.create(owner=owner, run_id=run_id, key=key.key, body_sha256=key.body_sha256)


class UnstoredKeys:
    """The keys of runs that are stored nowhere. `find` looks for a run of an owner's in this process."""

    def __init__(self, find: Callable[[UUID, str], object | None]) -> None:
        self._find = find
        self._known: dict[tuple[str, str], tuple[str, UUID]] = {}

    def remember(self, owner: str, key: Key, run_id: UUID) -> None:
        """Raises `AlreadyBegun` and `KeyMismatch` for a key whose run is still known."""
        known = {name: entry for name, entry in self._known.items() if self._find(entry[1], name[0])}
        entry = known.get((owner, key.key))
        if entry is not None:
            _refuse(key, *entry)
        known[owner, key.key] = (key.body_sha256, run_id)
        self._known = known


def _refuse(key: Key, body_sha256: str, run_id: UUID) -> NoReturn:
    """Why a key that was used before begins nothing."""
    if body_sha256 != key.body_sha256:
        raise KeyMismatch
    raise AlreadyBegun(run_id)
