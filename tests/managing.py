"""Commands of `manage.py`, as real processes, and databases that are migrated once and then copied."""

import fcntl
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.environment import FOLDER, SHARED
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.servers import Postgres

SECONDS = 120


def manage(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the settings of a folder and return its result; fail the test on a traceback."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def managed(folder: Path, *arguments: str, **variables: str) -> str:
    """Return the output of a command that must succeed."""
    done = manage(folder, *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrated(folder: Path) -> Path:
    """Put a migrated SQLite database in a folder, as a first start of the service does. Return the folder."""
    shutil.copyfile(sqlite_template(), folder / "orchestrator.db")
    return folder


def migrated_postgres(server: Postgres) -> str:
    """Return the URL of a new, migrated database."""
    return server.database(_postgres_template(server))


@cache
def sqlite_template() -> Path:
    """Return a migrated SQLite database. The first worker that needs it makes it for all."""
    made = SHARED / "template.db"
    with (SHARED / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder = Path(mkdtemp(dir=SHARED))
            managed(folder, "migrate", "--verbosity", "0")
            with closing(sqlite3.connect(folder / "orchestrator.db")) as database:
                database.execute("VACUUM INTO ?", [str(made)])
    return made


@cache
def _postgres_template(server: Postgres) -> str:
    url = server.database()
    managed(Path(mkdtemp(dir=FOLDER)), "migrate", "--verbosity", "0", DATABASE_URL=url)
    return url.rpartition("/")[2]
