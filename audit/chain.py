"""The end of the chain: entries are appended in the transaction that makes the changes which they record.

The writer appends the entries of its whole batch together, just before the commit. Other processes wait for the end of
the chain only that long.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils import timezone

from audit import conf, hashing
from audit.models import AuditEntry
from audit.records import Content, Facet
from storage import sanitize, statement_batch

LOCK: Final = 7_025_314_862
"""The key of PostgreSQL's advisory lock on the end of the chain."""

SALT_BYTES: Final = 16

COLUMNS: Final = (
    "number", "time", "kind", "subject", "owner", "actor", "commitment", "salt", "detail", "previous", "hash",
)  # fmt: skip
HEAD: Final = "SELECT number, hash FROM audit_entries ORDER BY number DESC LIMIT 1"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change to record. The entry commits to the `facet` of the record, or to `detail`.

    With `in_detail`, the content of the facet is kept in the entry, because a later change may replace it. `only_if` is
    a field and its value: without that value the change did not take place, and is not recorded.
    """

    kind: str
    subject: str
    owner: str = ""
    actor: str = ""
    facet: Facet | None = None
    in_detail: bool = False
    detail: Any = None
    only_if: tuple[str, Any] | None = None

    def with_detail(self) -> "Change":
        """Return the change with the content that its entry keeps. Raises the database's errors."""
        if self.facet is None or not self.in_detail:
            return self
        # Read now, because a later change of the same transaction may replace it.
        found = self.facet.read([self.subject])[self.subject]
        return msgspec.structs.replace(self, owner=self.owner or found.owner, detail=found.row, facet=None)

    def took_place(self, found: Content) -> bool:
        """Return whether the record, as it is, has the value that the change wrote."""
        if self.only_if is None:
            return True
        name, value = self.only_if
        return bool(found.values[name] == (hashing.moment(value) if isinstance(value, datetime) else value))


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The last entry of the chain: its number, its hash in hexadecimal digits, and its time."""

    number: int
    hash: str
    time: datetime | None


def record(*changes: Change) -> None:
    """Append an entry for each change of this transaction. Raises the database's errors."""
    if conf.is_kept() and changes:
        statement_batch.at_end(_append, [change.with_detail() for change in changes])


def head() -> Head:
    """Return the last entry; the number of an empty chain is 0."""
    last = AuditEntry.objects.order_by("-number").values_list("number", "hash", "time").first()
    if last is None:
        return Head(number=0, hash=hashing.FIRST.hex(), time=None)
    return Head(number=last[0], hash=bytes(last[1]).hex(), time=last[2])


def _append(changes: Sequence[Change]) -> None:
    statement_batch.flush()
    # The proxy `connection` would look up the thread's connection for each attribute.
    database = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        raise transaction.TransactionManagementError("An audit entry needs the transaction that it records.")
    facets: dict[Facet, list[str]] = {}
    for change in changes:
        if change.facet is not None:
            facets.setdefault(change.facet, []).append(change.subject)
    is_sqlite = database.vendor == "sqlite"
    with database.wrap_database_errors:
        cursor = database.connection.cursor()
        contents = {facet: facet.fetch(cursor, subjects) for facet, subjects in facets.items()}
        if not is_sqlite:
            # SQLite has one writer at a time, because all of its transactions are IMMEDIATE.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(HEAD)
        last = cursor.fetchone()
        number, previous = (last[0], bytes(last[1])) if last else (0, hashing.FIRST)
        now = timezone.now()
        # As Django writes it: SQLite has no type for moments.
        time = str(now.replace(tzinfo=None)) if is_sqlite else now
        rows: list[tuple[Any, ...]] = []
        for change in changes:
            found = None if change.facet is None else contents[change.facet].get(change.subject)
            if change.facet is not None and (found is None or not change.took_place(found)):
                continue
            number += 1
            texts, committed, salt, kept = _committed(change, found)
            own = hashing.entry_hash(number, now, texts, committed, previous)
            rows.append((number, time, *texts, committed, salt, kept, previous, own))
            previous = own
        if len(rows) == 1:
            cursor.execute(_insert(is_sqlite), rows[0])
        elif rows:
            cursor.executemany(_insert(is_sqlite), rows)


def _committed(change: Change, found: Content | None) -> tuple[tuple[str, ...], bytes, bytes, str]:
    """Return the texts of an entry, its commitment and salt, and the content that it keeps."""
    content = hashing.encoded(sanitize.clean(change.detail)) if found is None else found.encoded
    owner = change.owner or ("" if found is None else found.owner)
    texts = (
        change.kind,
        sanitize.text(change.subject, AuditEntry.SUBJECT_LENGTH),
        sanitize.text(owner, AuditEntry.OWNER_LENGTH),
        sanitize.text(change.actor, AuditEntry.ACTOR_LENGTH),
    )
    salt = secrets.token_bytes(SALT_BYTES)
    return texts, hashing.commitment(salt, content), salt, content.decode() if found is None else ""


@cache
def _insert(is_sqlite: bool) -> str:
    columns = ", ".join(f'"{column}"' for column in COLUMNS)
    places = ", ".join(["?" if is_sqlite else "%s"] * len(COLUMNS))
    # Names are constants, values only ever parameters.
    return f"INSERT INTO audit_entries ({columns}) VALUES ({places})"  # noqa: S608 - see above
