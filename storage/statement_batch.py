"""Statements that are collected within a transaction, so that equal ones of many jobs are sent as one.

They are sent before any other statement of the connection, and before the commit. Only the order among collected
statements may change: all rows of a statement are sent when its first one would have been.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

Row = Sequence[Any]


Ending = Callable[[list[Any]], None]


class _Pending(threading.local):
    rows: dict[str, list[Row]] | None = None
    endings: dict[Ending, list[Any]] | None = None


_pending = _Pending()


@contextmanager
def collected() -> Iterator[None]:
    """Collect statements in this block, which wraps the jobs of one transaction. Raises the database's errors."""
    _pending.rows, _pending.endings = {}, {}
    try:
        with connection.execute_wrapper(_after_all):
            yield
            for end, items in _pending.endings.items():
                end(items)
        flush()
    finally:
        _pending.rows = _pending.endings = None


def at_end(end: Ending, items: Sequence[Any]) -> None:
    """Call `end` with these items and the others of the transaction, before its commit; at once if none are collected.

    What locks a row that every transaction needs belongs here, so that the lock is held for the commit only.
    """
    endings = _pending.endings
    if endings is None:
        end(list(items))
    else:
        endings.setdefault(end, []).extend(items)


def send(statement: str, rows: Sequence[Row]) -> None:
    """Send the statement for each row, or collect it. The number of changed rows is not known."""
    waiting = _pending.rows
    if waiting is None:
        execute(statement, rows)
    else:
        waiting.setdefault(statement, []).extend(rows)


def flush() -> None:
    """Send the collected statements. Raises the database's errors."""
    waiting = _pending.rows
    if waiting:
        _pending.rows = {}
        for statement, rows in waiting.items():
            execute(statement, rows)


def execute(statement: str, rows: Sequence[Row]) -> Any:
    """Run the statement for each row on the driver's cursor, within Django's open transaction."""
    # Django's execute wrappers do not see the driver's own cursor, so `_after_all` does not flush again here.
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    with database.wrap_database_errors:
        cursor = database.connection.cursor()
        if len(rows) == 1:
            cursor.execute(statement, rows[0])
        else:
            cursor.executemany(statement, rows)
        return cursor


def _after_all(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    flush()
    return run(sql, params, many, context)
