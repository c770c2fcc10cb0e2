"""Checkpoints of SQLite's write-ahead log beside the writer."""

import sqlite3
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from chat.models import Process
from storage import wal_checkpoint
from storage.wal_checkpoint import checkpoint
from storage.writer import writer
from tests.conftest import Start

pytestmark = pytest.mark.sqlite

ROWS = 200


def fill(name: str) -> None:
    Process.objects.bulk_create(
        Process(name=f"{name} {number} {'x' * 150}"[:200], renewed="2026-01-01T00:00:00Z", lease_seconds=1)
        for number in range(ROWS)
    )


def kept_without_the_log(folder: Path, name: str) -> int:
    """Count the rows in the database file without its log.

    Another process copies the file, because closing a copy in this process would release its locks.
    """
    alone = folder / "alone.db"
    subprocess.run(["cp", connection.settings_dict["NAME"], alone], check=True)
    with closing(sqlite3.connect(alone)) as database:
        return int(database.execute("SELECT COUNT(*) FROM processes WHERE name LIKE ?", [f"{name} %"]).fetchone()[0])


async def test_only_a_long_log_is_checkpointed(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await start()
    with monkeypatch.context() as patched:
        patched.setattr(wal_checkpoint, "LOG_BYTES", 4_096)
        await checkpoint()
    await writer.write(partial(fill, "first"))
    await checkpoint()
    assert kept_without_the_log(tmp_path, "first") == 0
    monkeypatch.setattr(wal_checkpoint, "LOG_BYTES", 4_096)
    await checkpoint()
    assert kept_without_the_log(tmp_path, "first") == ROWS


async def test_checkpoint_does_not_delay_commits(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await start()
    monkeypatch.setattr(wal_checkpoint, "LOG_BYTES", 4_096)
    reader = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM processes").fetchone()  # A reader of the previous snapshot holds the log.
    await writer.write(partial(fill, "second"))
    await checkpoint()
    await writer.write(partial(fill, "third"))
    reader.close()
    await checkpoint()
    assert kept_without_the_log(tmp_path, "second") == kept_without_the_log(tmp_path, "third") == ROWS
