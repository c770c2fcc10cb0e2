"""Creation and revocation of keys, for the command line, the console and the API."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from access import known_tools, scopes
from access.keys import entries, key_format
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


NAME_TAKEN: Final = "A live key already has this name. Revoke it, or choose another name."


class KeyInvalid(ValueError):
    """A key with these properties cannot be created; `problems` are the errors by their fields."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in problems.items()))
        self.problems = problems


class ExpiryInvalid(ValueError):
    """The text is not a moment in the future."""


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
    problems: dict[str, str] = {}
    if not 0 < len(name) <= ApiKey.NAME_LENGTH or not name.isprintable():
        problems["name"] = f"A name is 1 to {ApiKey.NAME_LENGTH} printable characters, on one line."
    if max_runs is not None and not 1 <= max_runs <= MAX_RUNS:
        problems["max_runs"] = f"max_runs is a number from 1 to {MAX_RUNS}."
    if len(budgets) > MAX_BUDGETS:
        problems["budgets"] = f"A key has at most {MAX_BUDGETS} budgets."
    readers: dict[str, Callable[[], Any]] = {
        "scopes": lambda: _scopes(words) if words else scopes.DEFAULT,
        "expires": lambda: _expiry(expires, now) if expires.strip() else None,
        "rate": lambda: rates.optional(rate.strip()),
        # Stored in their canonical form, so that equal budgets of a key are equal texts.
        "budgets": lambda: tuple(str(budget(text)) for text in budgets[:MAX_BUDGETS]),
    }
    values: dict[str, Any] = {}
    # Every field is read, so that all problems are reported at once.
    for field, read in readers.items():
        try:
            values[field] = read()
        except (ScopeInvalid, ExpiryInvalid, RateInvalid, BudgetInvalid) as error:
            problems.setdefault(field, str(error))
    if problems:
        raise KeyInvalid({field: problems[field] for field in KeySpec.__struct_fields__ if field in problems})
    return KeySpec(name=name, max_runs=max_runs, user_id=user_id, made_by=made_by, **values)


def issue(spec: KeySpec, now: datetime, *, by: str = "") -> CreatedKey:
    """Create a key for the audit's actor `by`. Raises `KeyInvalid` if a live key has its name."""
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
            entries.created(row, by)
    except IntegrityError:
        raise KeyInvalid({"name": NAME_TAKEN}) from None
    logger.info("key.created", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
    return CreatedKey(row, secret)


def revoke(row: ApiKey, now: datetime, *, by: str = "") -> bool:
    """Revoke a key permanently, and the keys that it made. Return False if it was revoked before."""
    with transaction.atomic():
        done = row.revoke(now)
        if done:
            entries.revoked(row, by)
            logger.info("key.revoked", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
        for made in ApiKey.objects.filter(made_by=row.pk, revoked=None):
            revoke(made, now, by=by)
    return done


def _scopes(words: Sequence[str]) -> Scopes:
    found = scopes.scopes(words)
    # A misspelt tool would silently never match, and the key would be refused the tool it was made for.
    problem = known_tools.unknown(found)
    if problem:
        raise ScopeInvalid(problem)
    return found


def _expiry(text: str, now: datetime) -> datetime:
    """Parse an age such as `30d`, or a date and time in ISO 8601."""
    try:
        found = now + durations.parse_duration(text)
    except OverflowError:
        # A moment after the year 9999, which `datetime` cannot hold.
        raise ExpiryInvalid("The expiry is too far away.") from None
    except ValueError:
        try:
            found = datetime.fromisoformat(text.strip())
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ExpiryInvalid(
                "Give a date, a date and time (UTC, unless it names a zone), or a time from now such as 12h or 30d."
            ) from None
    if found <= now:
        raise ExpiryInvalid("The expiry is in the past. Give a moment in the future.")
    return found
