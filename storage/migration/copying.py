"""Copying of a snapshot to a target, table by table and batch by batch, each with its progress in one transaction.

It can be killed at any moment: `copy` continues after the last committed key of each table. At the end, row counts and
a digest of each table are compared with the snapshot.
"""

from collections.abc import Callable, Sequence

import msgspec

from storage.migration.snapshot import Row, Snapshot
from storage.migration.tables import Column, Table
from storage.migration.target import WHOLE, Target
from storage.migration.values import Digest, canonical

Report = Callable[[str, int, int], None]
"""Receives a table's name, the number of copied rows, and the number of all rows."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One table on both sides."""

    table: str
    rows: int
    rows_there: int
    digest: str
    digest_there: str

    @property
    def is_equal(self) -> bool:
        return (self.rows, self.digest) == (self.rows_there, self.digest_there)


def copy(snapshot: Snapshot, target: Target, tables: Sequence[Table], report: Report) -> None:
    """Copy the rows that the target lacks."""
    for table in tables:
        _copy_rows(snapshot, target, table, report)
        for column in table.late:
            _fill_late(snapshot, target, table, column)


def compare(snapshot: Snapshot, target: Target, table: Table) -> Compared:
    """Read a table on both sides."""
    here, there = Digest(), Digest()
    documents = [index for index, column in enumerate(table.columns) if column.is_document]
    for _, rows in snapshot.batches(table, ""):
        here.add(_comparable(row, documents) for row in rows)
    there.add(_comparable(row, documents) for row in target.rows(table))
    return Compared(
        table=table.name,
        rows=here.rows,
        rows_there=there.rows,
        digest=here.hexadecimal(),
        digest_there=there.hexadecimal(),
    )


def _copy_rows(snapshot: Snapshot, target: Target, table: Table, report: Report) -> None:
    last = target.last(table.name)
    if last == WHOLE:
        return
    count = snapshot.count(table)
    done = target.count(table) if last else 0
    for last_key, rows in snapshot.batches(table, last):
        target.add(table, rows, last_key)
        done += len(rows)
        report(table.name, done, count)
    target.mark(table.name, WHOLE)


def _fill_late(snapshot: Snapshot, target: Target, table: Table, column: Column) -> None:
    part = f"{table.name}.{column.name}"
    last = target.last(part)
    if last == WHOLE:
        return
    names = [each.name for each in table.columns]
    value, key = names.index(column.name), names.index(table.key)
    for last_key, rows in snapshot.batches(table, last):
        pairs = [(row[value], row[key]) for row in rows if row[value] is not None]
        if pairs:
            target.fill(table, column, pairs, last_key)
    target.mark(part, WHOLE)


def _comparable(row: Row, documents: Sequence[int]) -> Row:
    for index in documents:
        if row[index] is not None:
            row[index] = canonical(row[index])
    return [bytes(value) if isinstance(value, memoryview) else value for value in row]
