"""Callers with a key each."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from storage.reader import read
from storage.writer import writer


class Holder(msgspec.Struct, frozen=True):
    """A caller with a key."""

    name: str
    secret: str
    id: UUID
    owner: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


MakeKey = Callable[..., Awaitable[Holder]]


@pytest.fixture
def make_key() -> MakeKey:
    """Create keys in the database from a name, scopes, and the other arguments of `issuing.wanted`."""

    async def make(name: str, *words: str, **given: Any) -> Holder:
        asked = issuing.validated(timezone.now(), name=name, words=words, **given)
        issued = await writer.write(partial(issuing.issue, asked, timezone.now()))
        return Holder(name, issued.secret, issued.row.id, issued.row.owner)

    return make


async def make_user(name: str, **fields: Any) -> int:
    """Return the id of a new Django user."""
    user = await writer.write(partial(User.objects.create_user, name, **fields))
    return int(user.pk)


async def revoke(holder: Holder) -> None:
    row = await row_of(holder)
    assert await writer.write(partial(issuing.revoke, row, timezone.now()))


async def row_of(holder: Holder) -> ApiKey:
    return await read(ApiKey.objects.get, id=holder.id)


async def change(holder: Holder, **fields: Any) -> None:
    """Change a row without going through the service."""
    await writer.write(lambda: ApiKey.objects.filter(id=holder.id).update(**fields))
