"""Actions of staff in the console: the user of the current request, and the audit entries about their actions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from django.db import transaction

from audit import chain
from audit.chain import Change

_acting: ContextVar[Callable[[], str]] = ContextVar("acting", default=str)


class Named(Protocol):
    """A user of the console."""

    def get_username(self) -> str:
        """Return the name under which the user logs in."""


@contextmanager
def acting(name: Callable[[], str]) -> Iterator[None]:
    """Attribute the changes in this block to a user. `name` is called only if there is a change to record."""
    before = _acting.set(name)
    try:
        yield
    finally:
        _acting.reset(before)


def actor() -> str:
    """Return the name of the user whose request this is; empty outside of the console."""
    return _acting.get()()


def record(user: Named, kind: str, subject: object, owner: str = "", detail: Any = None) -> None:
    """Append an entry about an action of a user. Raises the database's errors.

    A `kind` is a text such as `run.cancelled`. The `subject` is the id of the record, and `owner` the record's owner.
    The entry keeps `detail`, a JSON value, until the owner is erased. In an open transaction, the entry is part of it.
    """
    with transaction.atomic():
        change = Change(kind=kind, subject=str(subject), owner=owner, actor=user.get_username(), detail=detail)
        chain.record(change)
