"""SQLite's log is taken into the database beside the writer."""

import sqlite3
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from chat.models import Process
from storage import checkpoints
from storage.checkpoints import checkpoint
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
    """How many rows the database's own file has. Another process copies it: this one would lose its locks by that."""
    alone = folder / "alone.db"
    subprocess.run(["cp", connection.settings_dict["NAME"], alone], check=True)
    with closing(sqlite3.connect(alone)) as database:
        return int(database.execute("SELECT COUNT(*) FROM processes WHERE name LIKE ?", [f"{name} %"]).fetchone()[0])


async def test_a_long_log_is_taken_in_and_a_short_one_is_left(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start()
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "LOG_BYTES", 4_096)
        await checkpoint()
    await writer.write(partial(fill, "first"))
    await checkpoint()
    assert kept_without_the_log(tmp_path, "first") == 0
    monkeypatch.setattr(checkpoints, "LOG_BYTES", 4_096)
    await checkpoint()
    assert kept_without_the_log(tmp_path, "first") == ROWS


async def test_what_is_written_beside_it_waits_for_nothing_and_is_there(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start()
    monkeypatch.setattr(checkpoints, "LOG_BYTES", 4_096)
    reader = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM processes").fetchone()  # a reader of what was before holds the log
    await writer.write(partial(fill, "second"))
    await checkpoint()
    await writer.write(partial(fill, "third"))
    reader.close()
    await checkpoint()
    assert kept_without_the_log(tmp_path, "second") == kept_without_the_log(tmp_path, "third") == ROWS
