"""Creation and revocation of keys, for the command line, the console and the API."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from access import known_tools, scopes
from access.keys import key_format
from access.limits import rates
from access.limits.budgets import BudgetInvalid, budget
from access.limits.rates import RateInvalid
from access.models import ApiKey
from access.scopes import ScopeInvalid, Scopes
from storage import durations
from storage.ids import new_id

logger = logging.getLogger(__name__)

MAX_RUNS: Final = 10**6
MAX_BUDGETS: Final = 16


class KeyInvalid(ValueError):
    """A key with these properties cannot be created; `field` names the wrong one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class KeySpec(msgspec.Struct, frozen=True, kw_only=True):
    """The validated properties of a new key."""

    name: str
    scopes: Scopes
    expires: datetime | None = None
    rate: str = ""
    max_runs: int | None = None
    budgets: tuple[str, ...] = ()
    user_id: int | None = None
    made_by: UUID | None = None


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key. `secret` is the key itself, which is stored nowhere and shown once."""

    row: ApiKey
    secret: str


def validated(
    now: datetime,
    *,
    name: str,
    words: Sequence[str] = (),
    expires: str = "",
    rate: str = "",
    max_runs: int | None = None,
    budgets: Sequence[str] = (),
    user_id: int | None = None,
    made_by: UUID | None = None,
) -> KeySpec:
    """Validate the properties of a new key; without `words` it gets the default scopes. Raises `KeyInvalid`."""
    name = name.strip()
    if not 0 < len(name) <= ApiKey.NAME_LENGTH or not name.isprintable():
        raise KeyInvalid("name", f"A name is 1 to {ApiKey.NAME_LENGTH} printable characters, on one line.")
    if max_runs is not None and not 1 <= max_runs <= MAX_RUNS:
        raise KeyInvalid("max_runs", f"max_runs is a number from 1 to {MAX_RUNS}.")
    if len(budgets) > MAX_BUDGETS:
        raise KeyInvalid("budgets", f"A key has at most {MAX_BUDGETS} budgets.")
    try:
        return KeySpec(
            name=name,
            scopes=_scopes(words) if words else scopes.DEFAULT,
            expires=_expiry(expires, now) if expires.strip() else None,
            rate=rates.optional(rate.strip()),
            max_runs=max_runs,
            # Stored in their canonical form, so that equal budgets of a key are equal texts.
            budgets=tuple(str(budget(text)) for text in budgets),
            user_id=user_id,
            made_by=made_by,
        )
    except RateInvalid as error:
        raise KeyInvalid("rate", str(error)) from None
    except BudgetInvalid as error:
        raise KeyInvalid("budgets", str(error)) from None


def issue(spec: KeySpec, now: datetime) -> CreatedKey:
    """Create a key. Raises `KeyInvalid` if a live key has its name."""
    secret = key_format.mint()
    stored = key_format.parse(secret.encode())
    row = ApiKey(
        id=new_id(),
        name=spec.name,
        prefix=stored.prefix,
        sha256=stored.sha256,
        user_id=spec.user_id,
        scopes=spec.scopes.texts(),
        rate=spec.rate,
        max_runs=spec.max_runs,
        budgets=list(spec.budgets),
        made_by=spec.made_by,
        created=now,
        expires=spec.expires,
    )
    try:
        # A savepoint: on PostgreSQL a failed insert would otherwise end the caller's transaction.
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise KeyInvalid("name", "A live key already has this name. Revoke it, or choose another name.") from None
    logger.info("key.created", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
    return CreatedKey(row, secret)


def revoke(row: ApiKey, now: datetime) -> bool:
    """Revoke a key permanently, and the keys that it made. Return False if it was revoked before."""
    done = row.revoke(now)
    if done:
        logger.info("key.revoked", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
    for made in ApiKey.objects.filter(made_by=row.pk, revoked=None):
        revoke(made, now)
    return done


def _scopes(words: Sequence[str]) -> Scopes:
    try:
        found = scopes.scopes(words)
    except ScopeInvalid as error:
        raise KeyInvalid("scopes", str(error)) from None
    # A misspelt tool would silently never match, and the key would be refused the tool it was made for.
    problem = known_tools.unknown(found)
    if problem:
        raise KeyInvalid("scopes", problem)
    return found


def _expiry(text: str, now: datetime) -> datetime:
    """Parse an age such as `30d`, or a date and time in ISO 8601."""
    try:
        found = now + durations.parse_duration(text)
    except OverflowError:
        # A moment after the year 9999, which `datetime` cannot hold.
        raise KeyInvalid("expires", "The expiry is too far away.") from None
    except ValueError:
        try:
            found = datetime.fromisoformat(text.strip())
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise KeyInvalid(
                "expires",
                "Give a date, a date and time (UTC, unless it names a zone), or a time from now such as 12h or 30d.",
            ) from None
    if found <= now:
        raise KeyInvalid("expires", "The expiry is in the past. Give a moment in the future.")
    return found
