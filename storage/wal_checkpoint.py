"""Checkpoints of SQLite's log by a reading thread, so that no commit waits for them.

SQLite would otherwise checkpoint within a commit when the log is long enough, and block all writers for some 50 ms
(https://sqlite.org/wal.html#ckpt).
"""

from pathlib import Path
from typing import Final

from django.db import connection

from storage.engine_options import LOG_BYTES
from storage.reader import read

# Commits during a checkpoint stay in the log, fewer each time. Once none is left, SQLite restarts the log.
MAX_ATTEMPTS: Final = 4


async def checkpoint() -> None:
    """Checkpoint the log if it has grown long. Raises `StorageUnavailable`."""
    if connection.vendor == "sqlite" and _log_bytes() >= LOG_BYTES:
        await read(_checkpoint)


def _log_bytes() -> int:
    try:
        # Only the directory entry: opening and closing the file beside SQLite would drop SQLite's POSIX locks.
        return Path(f"{connection.settings_dict['NAME']}-wal").stat().st_size
    except OSError:
        return 0


def _checkpoint() -> None:
    for _ in range(MAX_ATTEMPTS):
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            busy, length, copied = cursor.fetchone()
        if busy or length == copied:
            return
