"""A database of another encoding than UTF-8.

Covers `storage.schema`.
"""

from pathlib import Path

import pytest

from tests.managing import manage
from tests.servers import Postgres

pytestmark = pytest.mark.slow


def test_database_that_cannot_hold_every_text_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    postgres.query("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    done = manage(tmp_path, "list_api_keys", DATABASE_URL=postgres.url("narrow"))
    assert done.returncode == 1
    assert "DATABASE_URL names a database that cannot be used: its encoding is LATIN1." in done.stderr
    assert postgres.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url=postgres.url("narrow")) == [
        (0,)
    ]
