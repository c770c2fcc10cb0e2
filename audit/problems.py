"""What a verification finds, and the entries that it reads."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from audit import hashing
from audit.models import AuditEntry

ENTRIES_AT_ONCE: Final = 200
"""Entries, or records, that are in memory at the same time."""


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

    def problem(self, text: str) -> Problem:
        return Problem(number=self.number, kind=self.kind, subject=self.subject, problem=text)


def entries(**conditions: object) -> Iterator[Entry]:
    """Yield the entries that meet conditions, in the order of their numbers."""
    names = Entry.__struct_fields__
    binary = {"commitment", "salt", "previous", "hash"}
    for row in AuditEntry.objects.filter(**conditions).order_by("number").values_list(*names).iterator(ENTRIES_AT_ONCE):
        values = dict(zip(names, row, strict=True))
        yield Entry(**{name: _bytes(value) if name in binary else value for name, value in values.items()})


def _bytes(value: object) -> object:
    # PostgreSQL's driver returns views; SQLite returns whatever was stored, such as a text.
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | memoryview) else value
