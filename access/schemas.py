"""The schemas of the API of keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict

from access.keys.issuing import MAX_BUDGETS, MAX_RUNS
from access.models import ApiKey
from access.scopes import MAX_CHARS, MAX_SCOPES

Text = Annotated[str, Field(max_length=MAX_CHARS)]


class KeyIn(BaseModel):
    """A key to create; `expires` is a moment, or an age such as `30d`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=ApiKey.NAME_LENGTH)]
    scopes: Annotated[list[Text], Field(max_length=MAX_SCOPES)] | None = None
    expires: Text = ""
    rate: Text = ""
    max_runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None = None
    budgets: Annotated[list[Text], Field(max_length=MAX_BUDGETS)] = []


class KeyOut(Schema):
    """A key, revoked or not; `prefix` is its first characters."""

    id: UUID
    name: str
    prefix: str
    owner: str
    scopes: list[str]
    rate: str
    max_runs: int | None
    budgets: list[str]
    made_by: UUID | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


class NewKeyOut(KeyOut):
    """A new key, with the `key` itself, which is never shown again."""

    key: str


class KeyList(Schema):
    items: list[KeyOut]
    count: int
