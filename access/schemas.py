"""The schemas of the API of keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Field, Schema

from access.keys.issuing import MAX_BUDGETS, MAX_RUNS
from access.models import ApiKey
from access.scopes import MAX_CHARS, MAX_SCOPES
from web.schemas import Strict

Text = Annotated[str, Field(max_length=MAX_CHARS)]


class KeyIn(Strict):
    """A key to create."""

    name: Annotated[str, Field(max_length=ApiKey.NAME_LENGTH)] = Field(
        description="The key's name, which no other live key has."
    )
    scopes: Annotated[list[Text], Field(max_length=MAX_SCOPES)] | None = Field(
        None,
        description="The scopes, such as `chat` or `fs.*`. Null gives `chat`, `approve`, `speech` and `tools`.",
    )
    expires: Text = Field("", description="A date and time, or an age such as `30d` or `12h`. Empty never expires.")
    rate: Text = Field(
        "", description="The most requests in a time, such as `60/minute`. Empty is `RATE_LIMIT_PER_KEY`."
    )
    max_runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None = Field(
        None, description="The most runs that are active at the same time. Null sets no limit."
    )
    budgets: Annotated[list[Text], Field(max_length=MAX_BUDGETS)] = Field(
        [], description="The budgets, such as `10usd/month` or `200000tokens/day`."
    )


class KeyOut(Schema):
    """A key, revoked or not."""

    id: UUID = Field(description="The key's id.")
    name: str = Field(description="The key's name.")
    prefix: str = Field(description="The first characters of the key.")
    owner: str = Field(description="The owner of everything that is made with the key, such as `user:7` or `key:<id>`.")
    scopes: list[str] = Field(description="The key's scopes.")
    rate: str = Field(description="The most requests in a time. Empty is `RATE_LIMIT_PER_KEY`.")
    max_runs: int | None = Field(description="The most runs that are active at the same time. Null sets no limit.")
    budgets: list[str] = Field(description="The key's budgets.")
    made_by: UUID | None = Field(description="The key that created this one over the API. Null if none did.")
    created: datetime = Field(description="The time of its creation.")
    expires: datetime | None = Field(description="The time of its expiry. Null if it never expires.")
    revoked: datetime | None = Field(description="The time of its revocation. Null if it is not revoked.")
    last_used: datetime | None = Field(
        description="The time of its last use, which may lag by seconds. Null if it was never used."
    )


class NewKeyOut(KeyOut):
    """A new key."""

    key: str = Field(description="The key itself, which is never shown again.")


class KeyList(Schema):
    """A page of keys."""

    items: list[KeyOut] = Field(description="The keys of the page, the newest first.")
    count: int = Field(description="The number of all keys.")
