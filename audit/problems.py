"""The problems that a verification finds, and the entries that it reads."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from audit import hashing
from audit.models import AuditEntry

ENTRIES_AT_ONCE: Final = 200
"""Entries, or records, that are in memory at the same time."""


BINARY: Final = ("commitment", "salt", "previous", "hash")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that is wrong. `number` is None if no entry is about the record."""

    number: int | None
    kind: str
    subject: str
    problem: str

    def __str__(self) -> str:
        place = f"Entry {self.number} ({self.kind})" if self.number is not None else f"The record ({self.kind})"
        return f"{place} of {self.subject or 'the chain'}: {self.problem}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it is stored."""

    number: int
    time: datetime
    kind: str
    subject: str
    owner: str
    actor: str
    commitment: bytes
    salt: bytes | None
    detail: str
    previous: bytes
    hash: bytes

    def rehashed(self) -> bytes:
        """Return the hash that the entry should have."""
        texts = (self.kind, self.subject, self.owner, self.actor)
        return hashing.entry_hash(self.number, self.time, texts, self.commitment, self.previous)

    def chain_problem(self, number: int, previous: bytes) -> str:
        """Return the problem if it is not entry `number`, after the one with the hash `previous`."""
        if self.number != number:
            return f"Entry {number} is missing before it."
        if self.previous != previous:
            return "It does not continue the entry before it: one was removed, inserted, changed or moved."
        try:
            is_same = self.rehashed() == self.hash
        except (TypeError, ValueError, OverflowError):
            is_same = False
        return "" if is_same else "It was changed: its hash is not that of its fields."

    def problem(self, text: str) -> Problem:
        return Problem(number=self.number, kind=self.kind, subject=self.subject, problem=text)


def entries(**conditions: object) -> Iterator[Entry]:
    """Yield the entries that meet conditions, in the order of their numbers."""
    names = Entry.__struct_fields__
    for row in AuditEntry.objects.filter(**conditions).order_by("number").values_list(*names).iterator(ENTRIES_AT_ONCE):
        values: dict[str, Any] = dict(zip(names, row, strict=True))
        for name in BINARY:
            # PostgreSQL's driver returns views; SQLite returns whatever was stored, such as a text.
            value = values[name]
            values[name] = value.encode() if isinstance(value, str) else None if value is None else bytes(value)
        yield Entry(**values)


def entries_after(last: int, end: int) -> list[Entry]:
    """Return the next entries after the number `last`, up to the number `end`."""
    numbers = AuditEntry.objects.filter(number__gt=last, number__lte=end).order_by("number")
    highest = list(numbers.values_list("number", flat=True)[:ENTRIES_AT_ONCE])[-1]
    return list(entries(number__gt=last, number__lte=highest))
