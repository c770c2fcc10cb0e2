"""Keys as the database knows them: sync functions, one statement each.

The statement of a look-up is compiled once: every request of a caller with a key waits for it.
"""

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
    *("sha256", "prefix", "revoked", "expires", "user__is_active"),
    *("id", "name", "user_id", "scopes", "rate", "max_runs", "budgets"),
)
MAX_REMEMBERED: Final = 4_096
MAX_STATEMENTS: Final = 256


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key that there is or was, and whoever shows it."""

    sha256: str
    prefix: str
    caller: Caller
    revoked: bool
    expires: datetime | None
    active: bool

    def shut(self, now: datetime) -> ApiError | None:
        """Why it opens nothing any more, if it does not."""
        if self.revoked:
            return unauthorized("The key was revoked.", "key_revoked")
        if self.expires is not None and self.expires <= now:
            return unauthorized("The key has expired.", "key_expired")
        if not self.active:
            return unauthorized("The key's user is not active.", "user_inactive")
        return None


def by_hashes(hashes: Sequence[str]) -> dict[str, KeyRecord]:
    """The keys that were shown. Whoever asks compares the hashes in constant time."""
    return {known.sha256: known for known in _find("sha256", hashes)}


def by_id(key: UUID) -> KeyRecord | None:
    return next(iter(_find("id", [key])), None)


def by_ids(keys: Collection[UUID]) -> dict[UUID, KeyRecord]:
    return {known.caller.key: known for known in _find("id", list(keys)) if known.caller.key is not None}


def caller_now(key: UUID, owner: str, now: datetime) -> Caller:
    """Whoever's key it is, with what it opens by now: nothing, where it was revoked or has expired."""
    known = by_id(key)
    if known is None or known.shut(now) is not None:
        return Caller(owner=owner, scopes=NONE, key=key)
    return known.caller


def _find(column: str, values: Sequence[Any]) -> list[KeyRecord]:
    """On the driver's own cursor: Django's would cost as much again."""
    database = connections[DEFAULT_DB_ALIAS]
    prepared = [_field(column).get_db_prep_value(value, database) for value in values]
    database.ensure_connection()
    with database.wrap_database_errors:
        cursor = database.connection.cursor()
        cursor.execute(_statement(column, len(prepared)), prepared)
        return [_known(row) for row in cursor.fetchall()]


@lru_cache(maxsize=MAX_STATEMENTS)
def _statement(column: str, count: int) -> str:
    """The ORM's own, as the driver takes it."""
    wanted = [_field(column).to_python(f"{number:032}") for number in range(count)]
    rows = ApiKey.objects.order_by().filter(**{f"{column}__in": wanted}).values_list(*COLUMNS)
    statement, _ = rows.query.sql_with_params()
    return str(statement).replace("%s", "?") if connection.vendor == "sqlite" else str(statement)


def _field(name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", ApiKey._meta.get_field(name))


def _known(row: tuple[Any, ...]) -> KeyRecord:
    """Values come as the driver or as Django gives them."""
    sha256, prefix, revoked, expires, active, *told = row
    return KeyRecord(
        sha256=sha256,
        prefix=prefix,
        caller=_caller(tuple(map(_plain, told))),
        revoked=revoked is not None,
        expires=_moment(expires),
        active=active is None or bool(active),
    )


@lru_cache(maxsize=MAX_REMEMBERED)
def _caller(told: tuple[Any, ...]) -> Caller:
    """What a key opens never changes, so that most callers are found here."""
    key, name, user, words, rate, max_runs, budgets = told
    found = key if isinstance(key, UUID) else UUID(key)
    return Caller(
        owner=f"key:{found}" if user is None else f"user:{user}",
        scopes=scopes(msgspec.json.decode(words)),
        key=found,
        name=name,
        rate=rate,
        max_runs=max_runs,
        budgets=tuple(msgspec.json.decode(budgets)),
    )


def _plain(value: Any) -> Any:
    """A JSON value as text."""
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value


@lru_cache(maxsize=MAX_REMEMBERED)
def _moment(value: Any) -> datetime | None:
    """SQLite keeps moments as texts, in UTC."""
    moment: datetime | None = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
