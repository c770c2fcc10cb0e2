"""The chain finds what was changed behind the back of the service.

Covers `audit.chain`, `audit.chain_check`, `audit.covered`, `audit.hashing`, `audit.problems`, `audit.record_check`,
`audit.records`, `audit.verification`, `orchestrator_site.auditing.records`, `tools.execution.entries`,
`access.keys.entries`, `access.users.entries`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.history import make_history, problem
from tests.audit.tampering import unnoticed
from tests.managing import SECONDS, migrated_postgres
from tests.orchestrator_site.test_serve import ROOT, environment
from tests.servers import Postgres

pytestmark = pytest.mark.django_db

TIMES = 1_000
TIMES_ON_POSTGRESQL = 200


@pytest.mark.slow
def test_each_of_a_thousand_random_tamperings_is_found() -> None:
    make_history()
    assert problem() == ""
    assert unnoticed(17, TIMES) == []
    assert problem() == ""


@pytest.mark.slow
def test_random_tamperings_are_found_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    variables = environment(tmp_path, DATABASE_URL=migrated_postgres(postgres))
    program = "import django; django.setup(); from tests.audit import tampering; tampering.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "17", str(TIMES_ON_POSTGRESQL)],
        cwd=ROOT,
        env={**variables, "DJANGO_SETTINGS_MODULE": "orchestrator_site.settings"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"before": "", "missed": [], "after": ""}
