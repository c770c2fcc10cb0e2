"""Keys as rows of the database: sync functions, one statement each."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Field

from access.caller import Caller, unauthorized
from access.models import ApiKey
from access.scopes import NONE, scopes
from web.errors import ApiError

COLUMNS: Final = (
    "sha256",
    "prefix",
    "revoked",
    "expires",
    "user__is_active",
    "id",
    "name",
    "user_id",
    "scopes",
    "rate",
    "max_runs",
    "budgets",
)
MAX_REMEMBERED: Final = 4_096
MAX_STATEMENTS: Final = 256


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key, revoked or not, and its caller."""

    sha256: str
    prefix: str
    caller: Caller
    revoked: bool
    expires: datetime | None
    active: bool

    def refusal(self, now: datetime) -> ApiError | None:
        """Return the error that the key now gets; None if it is valid."""
        if self.revoked:
            return unauthorized("The key was revoked.", "key_revoked")
        if self.expires is not None and self.expires <= now:
            return unauthorized("The key has expired.", "key_expired")
        if not self.active:
            return unauthorized("The key's user is not active.", "user_inactive")
        return None


def by_hashes(hashes: Sequence[str]) -> dict[str, KeyRecord]:
    """Return the keys with these hashes. The caller compares the hashes in constant time."""
    return {record.sha256: record for record in _find("sha256", hashes)}


def by_id(key: UUID) -> KeyRecord | None:
    return next(iter(_find("id", [key])), None)


def by_ids(keys: Collection[UUID]) -> dict[UUID, KeyRecord]:
    return {record.caller.key: record for record in _find("id", list(keys)) if record.caller.key is not None}


def caller_now(key: UUID, owner: str, now: datetime) -> Caller:
    """Return the caller of a key with its current scopes: none if it was revoked or has expired."""
    record = by_id(key)
    if record is None or record.refusal(now) is not None:
        return Caller(owner=owner, scopes=NONE, key=key)
    return record.caller


def _find(column: str, values: Sequence[Any]) -> list[KeyRecord]:
    database = connections[DEFAULT_DB_ALIAS]
    prepared = [_field(column).get_db_prep_value(value, database) for value in values]
    database.ensure_connection()
    # The driver's own cursor: Django's wrapper would double the time of this statement.
    with database.wrap_database_errors:
        cursor = database.connection.cursor()
        cursor.execute(_statement(column, len(prepared)), prepared)
        return [
            KeyRecord(
                sha256=sha256,
                prefix=prefix,
                caller=_caller(prefix, *(_hashable(value) for value in values)),
                revoked=revoked is not None,
                expires=_moment(expires),
                active=active is None or bool(active),
            )
            for sha256, prefix, revoked, expires, active, *values in cursor.fetchall()
        ]


@lru_cache(maxsize=MAX_STATEMENTS)
def _statement(column: str, count: int) -> str:
    """Return the ORM's statement in the driver's parameter style."""
    # Cached, because every request with a key would wait for the ORM to compile it.
    # Values of the right shape and number make the ORM compile the statement that the real values need.
    samples = [_field(column).to_python(f"{number:032}") for number in range(count)]
    rows = ApiKey.objects.order_by().filter(**{f"{column}__in": samples}).values_list(*COLUMNS)
    statement, _ = rows.query.sql_with_params()
    return str(statement).replace("%s", "?") if connection.vendor == "sqlite" else str(statement)


def _field(name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", ApiKey._meta.get_field(name))


# Scopes and limits of a key never change, so most callers are found in the cache.
@lru_cache(maxsize=MAX_REMEMBERED)
def _caller(prefix: str, *values: Any) -> Caller:
    """Return the caller of a key."""
    key, name, user, words, rate, max_runs, budgets = values
    found = key if isinstance(key, UUID) else UUID(key)
    return Caller(
        owner=f"key:{found}" if user is None else f"user:{user}",
        scopes=scopes(msgspec.json.decode(words)),
        key=found,
        name=name,
        prefix=prefix,
        rate=rate,
        max_runs=max_runs,
        budgets=tuple(msgspec.json.decode(budgets)),
    )


@lru_cache(maxsize=MAX_REMEMBERED)
def _moment(value: Any) -> datetime | None:
    """Return a moment of the database."""
    # SQLite stores moments as text, in UTC and without a zone.
    moment: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _hashable(value: Any) -> Any:
    # A list cannot be a key of the cache, so JSON that came decoded is encoded again.
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value
