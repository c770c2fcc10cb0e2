"""`orchestrator verify_audit` and `audit_head`, on databases as an operator has them.

Covers `orchestrator_site.management.commands.verify_audit`, `orchestrator_site.management.commands.audit_head`,
`audit.verification`, `audit.chain_check`, `audit.record_check`.
"""

import json
import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit import chain
from audit.models import AuditEntry
from tests.audit.history import make_history, run_tool
from tests.managing import manage, managed, migrated
from tests.servers import Postgres
from tools.models import ToolExecution

pytestmark = pytest.mark.slow


def called(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "0"], "'0' is not a number from 1"),
        (["--head", "abc", "--number", "1"], "'abc' is not a hash of 64 hexadecimal digits"),
        (["--number", "1"], "Give both, --number and --head."),
        (["--from", "9"], "Entry 8 () of the chain: It does not exist."),
        (["--number", "9", "--head", "0" * 64], "the end of the chain was removed"),
        (["--number", "1", "--head", "0" * 64], "the chain was written again"),
    ],
)
def test_wrong_argument_is_rejected_with_the_valid_ones(arguments: list[str], message: str) -> None:
    run_tool()
    with pytest.raises(CommandError) as error:
        called("verify_audit", *arguments)
    assert message in str(error.value)


@pytest.mark.django_db
def test_head_and_result_are_for_people_and_programs() -> None:
    assert called("audit_head") == f"0 {'0' * 64} -\n"
    assert "There are none yet" in called("verify_audit")
    make_history()
    head = json.loads(called("audit_head", "--json"))
    assert called("audit_head").startswith(f"{head['number']} {head['hash']} 20")
    done = json.loads(called("verify_audit", "--json", "--number", str(head["number"]), "--head", head["hash"]))
    assert done["problem"] is None
    assert done["entries"] == head["number"] == chain.head().number
    assert {part["name"] for part in done["records"]} == {"execution", "mcp_tool_set", "key", "user", "group"}
    assert json.loads(called("verify_audit", "--json", "--from", "5"))["entries"] == head["number"] - 4


@pytest.mark.django_db
def test_first_broken_entry_is_named() -> None:
    make_history()
    row = AuditEntry.objects.filter(kind="execution.ended")[1]
    ToolExecution.objects.filter(pk=row.subject).update(output="other")
    with pytest.raises(CommandError) as error:
        called("verify_audit")
    assert str(error.value) == (
        f"The audit is broken. Entry {row.number} (execution.ended) of {row.subject}: Its record was "
        "changed, or its salt: the content is not the one that was committed to."
    )


@pytest.mark.django_db
def test_without_persistence_there_is_nothing_to_verify(settings: object) -> None:
    settings.ENABLE_PERSISTENCE = False
    for command in ("verify_audit", "audit_head"):
        with pytest.raises(CommandError, match="keeps no audit chain"):
            called(command)


def test_rows_from_before_the_chain_are_counted_and_not_broken(tmp_path: Path) -> None:
    folder = migrated(tmp_path)
    database = folder / "orchestrator.db"
    managed(folder, "migrate", "audit", "zero", "--verbosity", "0")
    # Without persistence there is no chain, as before the upgrade.
    with closing(sqlite3.connect(database)) as old, old:
        columns = "id, name, prefix, sha256, scopes, rate, budgets, created"
        for name in ("ci", "cd"):
            values = [f"{name:0>32}".encode().hex()[-32:], name, name, name, "[]", "", "[]", "2026-01-01 00:00:00"]
            old.execute(f"INSERT INTO api_keys ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    managed(folder, "migrate", "--verbosity", "0")
    managed(folder, "create_api_key", "new")
    assert "key          3 records, 2 of them from before the chain" in managed(folder, "verify_audit")
    with closing(sqlite3.connect(database)) as old, old:
        old.execute("DELETE FROM api_keys WHERE name = 'ci'")
    done = manage(folder, "verify_audit")
    assert done.returncode == 1
    assert "1 records that are older than the chain are gone" in done.stderr


def test_chain_is_valid_after_a_move_to_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    folder, url = migrated(tmp_path), postgres.database()
    program = "from tests.audit.history import make_history; make_history()"
    managed(folder, "shell", "-v", "0", "-c", program)
    managed(folder, "migrate_database", "--to", url)
    assert "are as they were written" in managed(folder, "verify_audit", DATABASE_URL=url)
