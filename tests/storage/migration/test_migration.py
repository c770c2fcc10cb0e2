"""`manage.py migrate_database`, as a real process, into a real PostgreSQL.

Covers `orchestrator_site.management.commands.migrate_database`, `storage.migration.copying`,
`storage.migration.snapshot`, `storage.migration.tables`, `storage.migration.target`.
"""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from storage.migration.values import canonical
from tests.managing import manage, managed
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.servers import Postgres
from tests.storage.stored import fill, key, moment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Create an empty SQLite database with all tables."""
    folder = tmp_path_factory.mktemp("migrated")
    managed(folder, "migrate", "--verbosity", "0")
    return (folder / "orchestrator.db").read_bytes()


@pytest.fixture
def source(migrated: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "orchestrator.db"
    path.write_bytes(migrated)
    return path


def kill_when(folder: Path, url: str, pattern: str) -> None:
    """Start the command, and kill it when its output matches."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "migrate_database", "--to", url],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if re.search(pattern, line):
                break
        process.kill()


def test_migration_of_100000_rows_survives_a_kill(source: Path, tmp_path: Path, postgres: Postgres) -> None:
    count = fill(source, 10_000)
    assert count == 100_000
    url = postgres.database()
    kill_when(tmp_path, url, r"messages: 1\d+ of 40000")
    before = postgres.query("SELECT count(*) FROM messages", url=url)[0][0]
    assert 0 < before < 40_000
    said = managed(tmp_path, "migrate_database", "--to", url)
    assert "Continuing the interrupted copy" in said
    assert "sessions:" not in said
    assert re.search(r"messages +40000 rows +[0-9a-f]{32} +equal", said)
    assert "DIFFERENT" not in said
    assert int(re.findall(r"^(\d+) rows in", said, re.MULTILINE)[0]) > count
    assert not list(tmp_path.glob("*.snapshot*"))
    check_values(postgres, url)


def check_values(postgres: Postgres, url: str) -> None:
    run = UUID(key(2, 5))
    rows = postgres.query("SELECT resumed_from_id, cost_usd, created, error FROM runs WHERE id = %s", run, url=url)
    assert rows == [
        (
            UUID(key(2, 6)),
            Decimal("12.3400000000"),
            datetime.fromisoformat(f"{moment(5)}+00:00"),
            "'; DROP TABLE runs; --",
        )
    ]
    frames = postgres.query("SELECT frames FROM run_events WHERE run_id = %s", UUID(key(2, 1)), url=url)
    assert frames == [(bytes(range(256)) * 3,)]
    metadata = postgres.query("SELECT metadata FROM sessions WHERE id = %s", UUID(key(1, 2)), url=url)[0][0]
    assert (metadata["big"], metadata["long"]) == (10**300, 10**40)
    assert postgres.query("SELECT content FROM messages WHERE id = 5", url=url) == [("NUL \ufffd in it",)]
    assert postgres.query("SELECT nextval(pg_get_serial_sequence('messages', 'id'))", url=url) == [(40_001,)]
    assert postgres.query("SELECT username FROM auth_user", url=url) == [("root",)]
    for table in ("messages", "sessions"):
        rows, indexed = (postgres.query(f"TABLE {name}", url=url) for name in (table, f"{table}_texts"))
        assert len(rows) == len(indexed) > 0
    assert postgres.query("SELECT count(*) FROM auth_permission", url=url)[0][0] > 20


def test_target_must_be_an_empty_postgresql_database(source: Path, tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.database()
    postgres.query("CREATE TABLE mine AS SELECT 1 AS one", url=url)
    for target, said in [
        (url, "The target holds data already, in mine"),
        (f"sqlite:///{tmp_path}/other.db", "--to must be a PostgreSQL database"),
        ("postgres://nobody@127.0.0.1:1/x", "--to names a database that cannot be used"),
    ]:
        assert said in manage(tmp_path, "migrate_database", "--to", target).stderr
    assert "names another kind" in manage(tmp_path, "migrate_database", "--to", url, DATABASE_URL=url).stderr


def test_dry_run_counts_and_writes_nothing(source: Path, tmp_path: Path, postgres: Postgres) -> None:
    fill(source, 3)
    url = postgres.database()
    said = managed(tmp_path, "migrate_database", "--to", url, "--dry-run")
    assert re.search(r"messages +12 rows", said)
    assert "nothing was written" in said
    assert postgres.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url=url) == [(0,)]


def test_database_in_use_is_copied_only_with_force(source: Path, tmp_path: Path, postgres: Postgres) -> None:
    fill(source, 1)
    url = postgres.database()
    for statement, said in [
        ("UPDATE runs SET status = 'running'", "2 runs are open"),
        ("INSERT INTO processes VALUES ('p#1', '9999-01-01 00:00:00', 10)", "The service is running (p#1)"),
    ]:
        with closing(sqlite3.connect(source)) as database:
            database.execute(statement)
            database.commit()
        assert said in manage(tmp_path, "migrate_database", "--to", url).stderr
    assert "are equal" in managed(tmp_path, "migrate_database", "--to", url, "--force")


def test_differing_copy_is_reported(source: Path, tmp_path: Path, postgres: Postgres) -> None:
    fill(source, 2_000)
    url = postgres.database()
    kill_when(tmp_path, url, r"messages: 8000 of 8000")
    postgres.query("UPDATE messages SET content = 'x' WHERE id = 3", url=url)
    failed = manage(tmp_path, "migrate_database", "--to", url)
    assert failed.returncode == 1
    assert "Not the same on both sides: messages" in failed.stderr


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a":1,"b":2}', '{"b": 2, "a": 1}', True),
        ("1e300", "1" + "0" * 300, True),
        ("1.50", "1.5", True),
        ("-0.0", "0", True),
        ("[0.1]", "[0.10]", True),
        ('"\\u00e9"', '"é"', True),
        ("1", "-1", False),
        ("10", "1", False),
        ('"1"', "1", False),
        ("null", "0", False),
        ("12345678901234567890123456789012345678901", "12345678901234567890123456789012345678902", False),
    ],
)
def test_documents_are_compared_by_meaning(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same
