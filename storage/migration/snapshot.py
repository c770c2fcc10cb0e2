"""A consistent copy of a SQLite database in its own file, from which rows are read in order.

SnapshotFailed        the file could not be created, or is not a snapshot
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from storage.migration.tables import Table
from storage.migration.values import decoder

BATCH_ROWS: Final = 2_000
BATCH_BYTES: Final = 16 * 2**20
UUID_DIGITS: Final = 32

Row = list[Any]


class SnapshotFailed(Exception):
    """The snapshot cannot be created or read."""


class Snapshot:
    """Reads a file that `take` created. Close it after use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            self.token = int(self._database.execute("PRAGMA application_id").fetchone()[0])
        except sqlite3.Error as error:
            raise SnapshotFailed(f"{path} cannot be read as a SQLite database: {error}.") from None

    def close(self) -> None:
        self._database.close()

    def migrations(self) -> set[tuple[str, str]]:
        """Return the app and name of each applied migration."""
        return set(self._database.execute("SELECT app, name FROM django_migrations"))

    def count(self, table: Table) -> int:
        return int(self._database.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0])  # noqa: S608 - a model's

    def batches(self, table: Table, after: str) -> Iterator[tuple[str, list[Row]]]:
        """Yield batches of rows after a key (empty for the first), ready for PostgreSQL, each with its last key."""
        names = ", ".join(f'"{name}"' for name in (table.key, *(column.name for column in table.columns)))
        where = f'WHERE "{table.key}" > ?' if after else ""
        # Names come from the models, values only ever as parameters.
        statement = f'SELECT {names} FROM "{table.name}" {where} ORDER BY "{table.key}"'  # noqa: S608 - see above
        decoders = [decoder(column.field) for column in table.columns]
        # SQLite sorts numbers before texts, so a key is compared in its own type. The 32 hexadecimal digits of a UUID
        # can all be decimal.
        start: Any = int(after) if after.isdecimal() and len(after) < UUID_DIGITS else after
        rows: list[Row] = []
        size = 0
        last = ""
        for key, *values in self._database.execute(statement, [start] if after else []):
            last = str(key)
            pairs = zip(decoders, values, strict=True)
            rows.append([None if value is None else decode(value) for decode, value in pairs])
            # A few long texts can have more bytes than thousands of short rows, so a batch is limited in both.
            size += sum(len(value) for value in values if isinstance(value, str | bytes))
            if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield last, rows
                rows, size = [], 0
        if rows:
            yield last, rows


def take(database: Path, into: Path) -> None:
    """Copy the database as it is at this moment into a new file. Raises `SnapshotFailed`."""
    partial = into.with_name(f"{into.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as source:
            # One read transaction: what other processes commit meanwhile is not in the copy.
            source.execute("VACUUM INTO ?", [str(partial)])
        with closing(sqlite3.connect(partial)) as copy:
            copy.execute(f"PRAGMA application_id = {secrets.randbits(31) | 1}")
    except sqlite3.Error as error:
        partial.unlink(missing_ok=True)
        raise SnapshotFailed(f"{database} could not be copied into {into}: {error}.") from None
    # Renamed when it is complete, so a snapshot that was interrupted is never taken for one.
    partial.rename(into)
