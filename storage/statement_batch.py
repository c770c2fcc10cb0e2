"""Statements that wait within a transaction, so that the same ones of many jobs are sent as one.

What waits is sent before anything else on the connection, and before the commit. Only the order among themselves of
statements that wait together may change: of each kind all rows are sent when its first one would have been.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

Row = Sequence[Any]


class _Pending(threading.local):
    rows: dict[str, list[Row]] | None = None


_pending = _Pending()


@contextmanager
def collected() -> Iterator[None]:
    """Within it statements wait: around the jobs of one transaction. Raises what the database raises."""
    _pending.rows = {}
    try:
        with connection.execute_wrapper(_after_all):
            yield
        flush()
    finally:
        _pending.rows = None


def send(statement: str, rows: Sequence[Row]) -> None:
    """Sends the statement for each row, or has it wait. Nobody learns how many rows it changed."""
    waiting = _pending.rows
    if waiting is None:
        execute(statement, rows)
    else:
        waiting.setdefault(statement, []).extend(rows)


def flush() -> None:
    """Sends what waits. Raises what the database raises."""
    waiting = _pending.rows
    if waiting:
        _pending.rows = {}
        for statement, rows in waiting.items():
            execute(statement, rows)


def execute(statement: str, rows: Sequence[Row]) -> Any:
    """Runs the statement for each row on the driver's own cursor, within the transaction that Django has open."""
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
