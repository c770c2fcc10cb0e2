"""Making keys, for the command line, the console and the API alike."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

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
    """A key cannot be made like this: `field` says because of what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class KeySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A key that can be made."""

    name: str
    scopes: Scopes
    expires: datetime | None = None
    rate: str = ""
    max_runs: int | None = None
    budgets: tuple[str, ...] = ()
    user_id: int | None = None


class CreatedKey(msgspec.Struct, frozen=True):
    """A key that was made. `secret` is the key itself, which is nowhere else and is shown once."""

    row: ApiKey
    secret: str


def wanted(
    now: datetime,
    *,
    name: str,
    words: Sequence[str] = (),
    expires: str = "",
    rate: str = "",
    max_runs: int | None = None,
    budgets: Sequence[str] = (),
    user_id: int | None = None,
) -> KeySpec:
    """The key that was asked for; no `words` are the default scopes. Raises `KeyInvalid`."""
    return KeySpec(
        name=_name(name),
        scopes=_scopes(words) if words else scopes.DEFAULT,
        expires=_moment(expires, now) if expires.strip() else None,
        rate=_rate(rate.strip()),
        max_runs=_max_runs(max_runs),
        budgets=_budgets(budgets),
        user_id=user_id,
    )


def issue(asked: KeySpec, now: datetime) -> CreatedKey:
    """Makes the key. Raises `KeyInvalid` for a name that a live one has."""
    secret = key_format.mint()
    kept = key_format.parse(secret.encode())
    row = ApiKey(
        id=new_id(),
        name=asked.name,
        prefix=kept.prefix,
        sha256=kept.sha256,
        user_id=asked.user_id,
        scopes=asked.scopes.texts(),
        rate=asked.rate,
        max_runs=asked.max_runs,
        budgets=list(asked.budgets),
        created=now,
        expires=asked.expires,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise KeyInvalid("name", "A key has this name already: revoke it, or choose another name.") from None
    logger.info("key.created", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
    return CreatedKey(row, secret)


def revoke(row: ApiKey, now: datetime) -> bool:
    """Shuts the key, for ever. False where that was done before."""
    done = row.revoke(now)
    if done:
        logger.info("key.revoked", extra={"key": str(row.id), "key_name": row.name, "prefix": row.prefix})
    return done


def _name(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= ApiKey.NAME_LENGTH or not name.isprintable():
        raise KeyInvalid("name", f"A name is 1 to {ApiKey.NAME_LENGTH} printable characters, on one line.")
    return name


def _scopes(words: Sequence[str]) -> Scopes:
    try:
        found = scopes.scopes(words)
    except ScopeInvalid as error:
        raise KeyInvalid("scopes", str(error)) from None
    problem = known_tools.unknown(found)
    if problem:
        raise KeyInvalid("scopes", problem)
    return found


def _moment(text: str, now: datetime) -> datetime:
    try:
        found = now + durations.parse_duration(text)
    except ValueError:
        found = _iso(text.strip())
    except OverflowError:
        raise KeyInvalid("expires", "That is too far away.") from None
    if found <= now:
        raise KeyInvalid("expires", "That is over already: give a moment in the future.")
    return found


def _iso(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise KeyInvalid(
            "expires",
            "Give a date, a date and time (UTC, unless it names a zone), or a time from now such as 12h or 30d.",
        ) from None


def _rate(text: str) -> str:
    try:
        return rates.optional(text)
    except RateInvalid as error:
        raise KeyInvalid("rate", str(error)) from None


def _max_runs(number: int | None) -> int | None:
    if number is not None and not 1 <= number <= MAX_RUNS:
        raise KeyInvalid("max_runs", f"Runs at once are a number from 1 to {MAX_RUNS}.")
    return number


def _budgets(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > MAX_BUDGETS:
        raise KeyInvalid("budgets", f"A key has at most {MAX_BUDGETS} budgets.")
    try:
        return tuple(str(budget(text)) for text in texts)
    except BudgetInvalid as error:
        raise KeyInvalid("budgets", str(error)) from None
