"""Commands of `manage.py`, as real processes, and databases that are migrated once and then copied."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.environment import FOLDER
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
    with closing(sqlite3.connect(_sqlite_template())) as template:
        template.execute("VACUUM INTO ?", [str(folder / "orchestrator.db")])
    return folder


def migrated_postgres(server: Postgres) -> str:
    """Return the URL of a new, migrated database."""
    return server.database(_postgres_template(server))


@cache
def _sqlite_template() -> Path:
    folder = Path(mkdtemp(dir=FOLDER))
    managed(folder, "migrate", "--verbosity", "0")
    return folder / "orchestrator.db"


@cache
def _postgres_template(server: Postgres) -> str:
    url = server.database()
    managed(Path(mkdtemp(dir=FOLDER)), "migrate", "--verbosity", "0", DATABASE_URL=url)
    return url.rpartition("/")[2]
