"""SQLite's log, taken into the database by a thread that reads, so that no commit waits for it.

By itself SQLite does that within a commit, once the log is long enough: some 50 ms, in which nobody else is kept either
(https://sqlite.org/wal.html#ckpt).
"""

from pathlib import Path
from typing import Final

from django.db import connection

from storage.engine_options import LOG_BYTES
from storage.reader import read

MAX_IN_A_ROW: Final = 4
"""What is committed meanwhile is left over, and less of it each time: once nothing is, the log begins anew."""


async def checkpoint() -> None:
    """Takes in the log where it has grown long. Raises `StorageUnavailable`."""
    if connection.vendor == "sqlite" and _log_bytes() >= LOG_BYTES:
        await read(_take_in)


def _log_bytes() -> int:
    """Asked of the folder: to open a database's file beside SQLite would lose it its locks."""
    try:
        return Path(f"{connection.settings_dict['NAME']}-wal").stat().st_size
    except OSError:
        return 0


def _take_in() -> None:
    for _ in range(MAX_IN_A_ROW):
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            busy, length, taken = cursor.fetchone()
        if busy or length == taken:
            return
