"""The schemas of the API of keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Field

from access.keys.issuing import MAX_BUDGETS, MAX_RUNS
from access.models import ApiKey
from access.scopes import MAX_CHARS, MAX_SCOPES
from web.schemas import Answer, Strict

Text = Annotated[str, Field(max_length=MAX_CHARS)]


class KeyIn(Strict):
    """A key to create."""

    name: Annotated[str, Field(max_length=ApiKey.NAME_LENGTH)]
    """The key's name, which no other live key has."""
    scopes: Annotated[list[Text], Field(max_length=MAX_SCOPES)] | None = None
    """The scopes, such as `chat`, `approve`, `fs.*`. Null gives `chat`, `approve`, `speech` and `tools`."""
    expires: Text = ""
    """A date and time, or an age such as `30d` or `12h`. Empty never expires."""
    rate: Text = ""
    """The most requests in a time, such as `60/minute`. Empty is `RATE_LIMIT_PER_KEY`."""
    max_runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None = None
    """The most runs that are active at the same time. Null sets no limit."""
    budgets: Annotated[list[Text], Field(max_length=MAX_BUDGETS)] = []
    """The budgets, such as `10usd/month` or `200000tokens/day`."""


class KeyOut(Answer):
    """A key, revoked or not."""

    id: UUID
    """The key's id."""
    name: str
    """The key's name."""
    prefix: str
    """The first characters of the key."""
    owner: str
    """The owner of everything that is made with the key, such as `user:7` or `key:<id>`."""
    scopes: list[str]
    """The key's scopes."""
    rate: str
    """The most requests in a time. Empty is `RATE_LIMIT_PER_KEY`."""
    max_runs: int | None
    """The most runs that are active at the same time. Null sets no limit."""
    budgets: list[str]
    """The key's budgets."""
    made_by: UUID | None
    """The key that created this one over the API. Null if none did."""
    created: datetime
    """The time of its creation."""
    expires: datetime | None
    """The time of its expiry. Null if it never expires."""
    revoked: datetime | None
    """The time of its revocation. Null if it is not revoked."""
    last_used: datetime | None
    """The time of its last use, which may lag by seconds. Null if it was never used."""


class NewKeyOut(KeyOut):
    """A new key."""

    key: str
    """The key itself, which is never shown again."""


class KeyList(Answer):
    """A page of keys."""

    items: list[KeyOut]
    """The keys of the page, the newest first."""
    count: int
    """The number of all keys."""
