"""Access to a contestant's database from outside the contestant."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from typing import Final

import psycopg

from benchmarks.harness.contestants import PROJECT, Place, service_environment

COUNT: Final = "SELECT count(*) FROM messages"


async def fill(place: Place, *, sessions: int, messages: int) -> list[str]:
    """Create sessions with a history of so many messages, and return their ids."""
    # A process of its own: Django is set up once in a process, and every place has another database.
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "benchmarks.histories", "--sessions", str(sessions), "--messages", str(messages)],
        cwd=PROJECT,
        env=service_environment(place, stored=True),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.split()


async def messages(place: Place) -> int:
    """Return the number of stored messages."""
    return await asyncio.to_thread(_count, place)


def _count(place: Place) -> int:
    if place.database:
        with psycopg.connect(place.database) as server:
            row = server.execute(COUNT).fetchone()
    else:
        # The context manager of a sqlite3 connection ends a transaction, and does not close the file.
        with contextlib.closing(sqlite3.connect(place.sqlite, timeout=60)) as file:
            row = file.execute(COUNT).fetchone()
    assert row is not None
    return int(row[0])
