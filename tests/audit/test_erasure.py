"""`orchestrator erase_user`: an owner's texts go, the chain stays valid, and what is left is still protected.

Covers `orchestrator_site.auditing.erasure`, `orchestrator_site.management.commands.erase_user`.
"""

import json
import random
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from audit.models import AuditEntry
from chat.models import Attachment, Message, Run, RunEvent, RunKey, Session
from chat.searched import INDEXES
from orchestrator_site.auditing import erasure
from speech.models import SpeechRequest
from storage.ids import new_id
from tests.audit.history import BOB, make_history, open_execution, problem, run_tool, verified
from tests.audit.tampering import unnoticed
from tools import resources
from tools.changes.log import ChangeStore
from tools.models import McpToken, ToolExecution
from tools.output.store import OutputStore
from tools.workspaces.scope import owner_folder, session_folder

pytestmark = pytest.mark.django_db

SECRET = "Alice lives at 5 Elm Street"
TAMPERINGS = 150


@pytest.fixture
def forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Put the files of the service in a folder, and return the workspaces whose indexes were removed."""
    forgotten: list[Path] = []
    outputs, changes = OutputStore(tmp_path / "outputs", 10**6), ChangeStore(tmp_path / "changes", 10**6)
    workspaces = SimpleNamespace(folder=tmp_path / "workspaces", name=lambda owner: owner)
    monkeypatch.setattr(resources, "outputs", lambda: outputs)
    monkeypatch.setattr(resources, "changes", lambda: changes)
    monkeypatch.setattr(resources, "workspaces", lambda: workspaces)
    monkeypatch.setattr(resources, "retrieval", lambda: SimpleNamespace(forget=forgotten.append))
    return forgotten


def make_person(folder: Path) -> tuple[User, str]:
    """Make a user with one of everything that has a text."""
    now = timezone.now()
    user = User.objects.create_user(SECRET[:20], email="alice@example.com", first_name="Alice")
    owner = f"user:{user.pk}"
    key = issuing.issue(issuing.validated(now, name=SECRET, user_id=user.pk), now).row
    LogEntry.objects.log_actions(user.pk, [key], CHANGE, change_message=SECRET, single_object=True)
    session = Session.objects.create(
        id=new_id(), owner=owner, title=SECRET, user=SECRET, metadata={"a": SECRET}, created=now, updated=now
    )
    run = Run.objects.create(
        id=new_id(), session=session, status="failed", error=SECRET, metadata={"a": SECRET}, created=now, ended=now
    )
    message = Message.objects.create(session=session, run=run, role="user", content=SECRET, created=now)
    Attachment.objects.create(message=message, media_type="image/png", data=SECRET.encode())
    RunEvent.objects.create(run=run, first=1, last=1, frames=SECRET.encode(), created=now)
    RunKey.objects.create(owner=owner, key=SECRET, body_sha256="", run=run)
    SpeechRequest.objects.create(
        id=new_id(), owner=owner, operation="synthesis", status="failed", note=SECRET, error=SECRET,
        audio=SECRET.encode(), created=now,
    )  # fmt: skip
    McpToken.objects.create(server="wiki", owner=owner, key="operator", sealed=SECRET, granted=now)
    execution_id = run_tool(owner, params={"text": SECRET})
    _keep_files(folder, owner, session.pk, run.pk, execution_id)
    return user, owner


def _keep_files(folder: Path, owner: str, session_id: UUID, run_id: UUID, execution_id: UUID) -> None:
    path = resources.outputs()._path(owner, execution_id)
    changed = folder / "changes" / str(run_id)[-2:] / str(run_id) / "journal.jsonl"
    notes = [
        folder / "workspaces" / name / "notes.txt"
        for name in (owner_folder(owner), session_folder(owner, session_id), owner_folder(BOB))
    ]
    for file in (path, changed, *notes):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET)


def stored_texts() -> str:
    """Return everything in the database as text."""
    with connection.cursor() as cursor:
        found = []
        # The tables of words cannot be read, but those that have their data can.
        words = {index.words for index in INDEXES}
        for table in {*connection.introspection.table_names(cursor)} - words:
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [
                value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                for row in cursor.fetchall()
                for value in row
            ]
    return "\n".join(found)


@pytest.mark.sqlite
def test_nothing_of_the_person_is_left_and_the_chain_is_valid(tmp_path: Path, forgotten: list[Path]) -> None:
    make_history()
    user, owner = make_person(tmp_path)
    assert problem() == ""
    before = verified()
    numbers = list(ToolExecution.objects.filter(owner=owner).values_list("output_size", "duration_ms", "created"))
    output = StringIO()
    call_command("erase_user", owner, "--dry-run", "--json", stdout=output)
    counts = {part["name"]: part["count"] for part in json.loads(output.getvalue())["parts"]}
    assert counts == {
        "sessions": 1, "executions": 1, "calls of speech": 1, "keys": 1, "authorizations": 1, "stored outputs": 1,
        "workspaces": 2,
    }  # fmt: skip
    assert SECRET in stored_texts()

    list(erasure.erase(owner))

    texts = stored_texts()
    assert SECRET not in texts
    assert SECRET[:20] not in texts
    assert "alice@example.com" not in texts
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == [owner_folder(BOB)]
    assert owner_folder(owner) in {path.name for path in forgotten}
    assert len(forgotten) == 2
    assert (
        list(ToolExecution.objects.filter(owner=owner).values_list("output_size", "duration_ms", "created")) == numbers
    )
    assert not ApiKey.objects.filter(user=user, revoked=None).exists()
    assert not AuditEntry.objects.filter(owner=owner, detail__contains="Alice").exists()
    after = verified()
    assert after.problem is None
    assert before.erased == 0
    assert after.erased > 0
    assert unnoticed(5, TAMPERINGS) == []
    # Again: nothing is left to erase, and the chain stays valid.
    list(erasure.erase(owner))
    assert problem() == ""
    assert unnoticed(6, TAMPERINGS) == []


def test_work_under_way_keeps_an_owner(forgotten: list[Path]) -> None:
    with transaction.atomic():
        open_execution(owner=BOB)
    with pytest.raises(erasure.ErasureRefused, match=r"work under way \(1 executions\)"):
        list(erasure.erase(BOB))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alice"], "'alice' is not an owner. Give user:NUMBER, key:ID or operator"),
        (["user:1"], "Add --yes, because there is no terminal to ask for a confirmation."),
    ],
)
def test_nothing_is_erased_without_an_owner_and_a_confirmation(
    arguments: list[str], message: str, forgotten: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError) as error:
        call_command("erase_user", *arguments)
    assert message in str(error.value)


def test_missing_salt_without_an_erasure_is_found() -> None:
    make_history()
    AuditEntry.objects.filter(number=random.randint(1, 5)).update(salt=None, detail="")
    assert "Its salt is gone, and no entry reports an erasure" in problem()
