"""`manage.py prune` and `database_size`: the removed rows, the rows that stay, and the output.

Covers `orchestrator_site.management.commands.database_size`, `orchestrator_site.management.commands.prune`,
`storage.table_sizes`.
"""

import asyncio
import os
import re
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat.models import Attachment, Message, Order, Run, RunEvent, RunKey, Session
from speech.models import SpeechRequest
from spending.models import Account
from storage.ids import new_id
from tools import resources
from tools.changes.log import ChangeStore
from tools.models import ToolExecution
from tools.output.store import OutputStore, Recording
from tools.workspace import Workspace

pytestmark = pytest.mark.django_db

NOW = timezone.now()
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(hours=1)
EVERYTHING = (Session, Run, RunKey, Order, Message, Attachment, RunEvent, ToolExecution)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OutputStore:
    store = OutputStore(tmp_path / "outputs", 10**6)
    monkeypatch.setattr(resources, "outputs", lambda: store)
    monkeypatch.setattr(resources, "changes", lambda: ChangeStore(tmp_path / "changes", 10**6))
    return store


def converse(when: Any, *, status: str = "completed", execution: str = "succeeded", owner: str = "alice") -> UUID:
    """Create a session with one run and one row of everything else; an open run is the session's active one."""
    is_open = status in {"running", "waiting"}
    session = Session.objects.create(
        id=new_id(), owner=owner, created=when, updated=when, active_run=None, title="t", user=""
    )
    run = Run.objects.create(
        id=new_id(), session=session, status=status, created=when, ended=None if is_open else when, metadata={"a": "b"}
    )
    message = Message.objects.create(session=session, run=run, role="user", content="x" * 100, created=when)
    Attachment.objects.create(message=message, media_type="image/png", data=b"y" * 1_000)
    RunKey.objects.create(owner=owner, key=str(run.id), body_sha256="", run=run)
    Order.objects.create(process="p", run=run, kind="cancel", created=when)
    RunEvent.objects.create(run=run, first=1, last=2, frames=b"z" * 500, created=when)
    ToolExecution.objects.create(
        id=new_id(),
        owner=owner,
        session_id=session.id,
        run_id=run.id,
        tool="fs.read",
        params={},
        status=execution,
        created=when,
    )
    return session.id


async def keep_output(outputs: OutputStore, owner: str, key: UUID) -> None:
    recording = outputs.begin(owner, key)
    await recording.add("o" * 2_000)
    await recording.end(keep=True)


def leave_output(outputs: OutputStore, when: datetime, key: UUID | None = None, owner: str = "alice") -> Path:
    """Create the file of an output that was last written to at the given time."""
    key = key or new_id()
    asyncio.run(keep_output(outputs, owner, key))
    (file,) = [kept.path for kept in outputs.kept() if kept.execution_id == key]
    os.utime(file, (when.timestamp(), when.timestamp()))
    return file


def call_speech(when: datetime, status: str, **values: Any) -> None:
    SpeechRequest.objects.create(
        id=new_id(), owner="alice", operation="synthesis", status=status, created=when, **values
    )


def prune(*arguments: str) -> str:
    said = StringIO()
    call_command("prune", *arguments, stdout=said)
    return said.getvalue()


def counts() -> list[int]:
    return [model._default_manager.count() for model in EVERYTHING]


def test_without_yes_prune_reports_and_removes_nothing(outputs: OutputStore) -> None:
    converse(OLD)
    before = counts()
    said = prune("--older-than", "30d")
    assert counts() == before
    assert re.search(r"run_events +1 +500 bytes", said)
    assert re.search(r"attachments +1 +1,000 bytes", said)
    assert re.search(r"8 rows and files, [\d,]+ bytes would be removed. Add --yes", said)


def test_old_conversations_are_removed_and_new_ones_stay(outputs: OutputStore) -> None:
    old, new = converse(OLD), converse(NEW)
    execution = ToolExecution.objects.get(session_id=old)
    asyncio.run(keep_output(outputs, "alice", execution.id))
    said = prune("--older-than", "30d", "--yes")
    assert re.search(r"stored outputs +1 +2,000 bytes", said)
    assert [row.id for row in Session.objects.all()] == [new]
    assert counts() == [1] * len(EVERYTHING)
    assert outputs.size("alice", execution.id) == 0
    assert prune("--older-than", "30d", "--yes").endswith("0 rows and files, 0 bytes were removed.\n")


@pytest.mark.parametrize("status", ["running", "waiting"])
def test_open_run_and_its_rows_stay(outputs: OutputStore, status: str) -> None:
    converse(OLD, status=status)
    prune("--older-than", "1h", "--yes")
    assert counts() == [1] * len(EVERYTHING)


@pytest.mark.parametrize("status", ["running", "awaiting_approval"])
def test_open_execution_stays(outputs: OutputStore, status: str) -> None:
    converse(OLD, execution=status)
    prune("--older-than", "1h", "--yes")
    assert [Session.objects.count(), ToolExecution.objects.count()] == [0, 1]


def test_session_with_an_active_run_stays(outputs: OutputStore) -> None:
    Session.objects.filter(id=converse(OLD)).update(active_run=new_id())
    prune("--older-than", "1h", "--yes")
    assert [Session.objects.count(), Message.objects.count()] == [1, 1]


def test_frames_are_removed_earlier_than_messages(outputs: OutputStore, settings: Any) -> None:
    settings.EVENT_RETENTION_HOURS = 24
    converse(NOW - timedelta(days=2))
    converse(NEW)
    prune("--older-than", "30d", "--yes")
    assert [RunEvent.objects.count(), Message.objects.count(), Session.objects.count()] == [1, 2, 2]


def test_rows_of_a_killed_prune_are_removed_by_the_next(outputs: OutputStore) -> None:
    converse(NEW, owner="")
    prune("--older-than", "30d", "--yes")
    assert Session.objects.count() == 0


def test_many_rows_are_removed_in_batches(outputs: OutputStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_site.retention.ROWS_AT_ONCE", 3)
    for _ in range(10):
        converse(OLD)
    prune("--older-than", "30d", "--yes")
    assert counts() == [0] * len(EVERYTHING)


@pytest.mark.parametrize("age", ["30", "soon", "-1d"])
def test_invalid_age_is_rejected_with_the_valid_format(age: str) -> None:
    with pytest.raises(CommandError, match="give a number and h, d or w"):
        call_command("prune", f"--older-than={age}")


def test_sizes_of_tables_and_of_a_turn_are_reported() -> None:
    converse(OLD)
    converse(NEW)
    said = StringIO()
    call_command("database_size", stdout=said)
    assert re.search(
        rf"run_events +2 rows +\d+,\d+ bytes  {OLD:%Y-%m-%d %H:%M} - {NEW:%Y-%m-%d %H:%M}", said.getvalue()
    )
    assert (
        "Average of the newest 2 turns: 500 bytes of frames in 1.0 rows, 100 characters in 1.0 messages"
        in said.getvalue()
    )
    assert int(re.findall(r"all +([\d,]+) bytes", said.getvalue())[0].replace(",", "")) > 10_000


def test_ended_speech_calls_and_expired_accounts_are_removed(outputs: OutputStore) -> None:
    for when in (OLD, NEW):
        call_speech(when, "succeeded")
    names = ["service:usd", "service:usd/2025-01", "key:a:tokens/2025-01-02", "run:r:usd", "session:s:usd"]
    for name in names:
        Account.objects.create(name=name, spent=5, reserved=0, updated=OLD)
    Account.objects.create(name="run:open:usd", spent=0, reserved=5, updated=OLD)
    Account.objects.create(name="service:usd/new", spent=5, reserved=0, updated=NEW)
    prune("--older-than", "30d", "--yes")
    assert [row.created for row in SpeechRequest.objects.all()] == [NEW]
    kept = {"service:usd", "service:usd/new", "run:open:usd"}
    assert set(Account.objects.values_list("name", flat=True)) == kept


def test_open_speech_calls_stay_and_the_others_are_counted(outputs: OutputStore) -> None:
    for status in SpeechRequest.Status.values:
        call_speech(OLD, status, audio=b"a" * 100)
    assert re.search(r"speech_requests +4 +400 bytes", prune("--older-than", "30d"))
    assert SpeechRequest.objects.count() == 5
    assert re.search(r"speech_requests +4 +400 bytes", prune("--older-than", "30d", "--yes"))
    assert SpeechRequest.objects.get().status == "running"


def test_outputs_without_a_row_are_removed_for_every_owner(outputs: OutputStore) -> None:
    files = [leave_output(outputs, OLD), leave_output(outputs, NOW - timedelta(hours=25), owner="bob")]
    said = prune("--older-than", "30d")
    assert re.search(r"outputs without rows +2 +4,000 bytes", said)
    assert "2 rows and files, 4,000 bytes would be removed" in said
    assert all(file.exists() for file in files)
    said = prune("--older-than", "30d", "--yes")
    assert re.search(r"outputs without rows +2 +4,000 bytes", said)
    assert not any(file.exists() for file in files)
    assert re.search(r"outputs without rows +0 +0 bytes", prune("--older-than", "30d", "--yes"))


def test_output_written_within_a_day_stays_whatever_the_age(outputs: OutputStore) -> None:
    file = leave_output(outputs, NOW - timedelta(hours=23))
    assert re.search(r"outputs without rows +0 ", prune("--older-than", "1h", "--yes"))
    assert file.exists()


@pytest.mark.parametrize("status", ["running", "awaiting_approval", "succeeded"])
def test_old_output_with_a_row_stays(outputs: OutputStore, status: str) -> None:
    converse(NEW, execution=status)
    file = leave_output(outputs, OLD, ToolExecution.objects.get().id)
    assert re.search(r"outputs without rows +0 ", prune("--older-than", "1d", "--yes"))
    assert file.exists()


def test_open_output_without_a_row_is_removed_a_day_later(outputs: OutputStore) -> None:
    async def begun(recording: Recording) -> None:
        await recording.add("o" * 300_000)

    async def ended(recording: Recording) -> None:
        await recording.end(keep=True)

    recording = outputs.begin("alice", new_id())
    asyncio.run(begun(recording))
    (kept,) = outputs.kept()
    prune("--older-than", "1h", "--yes")
    assert kept.path.stat().st_size == 300_000
    asyncio.run(ended(recording))
    os.utime(kept.path, (OLD.timestamp(), OLD.timestamp()))
    prune("--older-than", "1h", "--yes")
    assert not kept.path.exists()


def test_unknown_files_in_the_output_folder_stay(outputs: OutputStore, tmp_path: Path) -> None:
    file = leave_output(outputs, OLD)
    elsewhere = tmp_path / "elsewhere" / file.parent.name
    elsewhere.mkdir(parents=True)
    strange = [
        elsewhere / file.name,
        tmp_path / "outputs" / "README.txt",
        file.with_name("notes.txt"),
        file.with_name(file.name.upper()),
        file.with_name(f"{file.name}.txt"),
        file.with_name(f"{UUID(int=0xFE if file.parent.name == 'ff' else 0xFF)}.txt"),
        file.parents[1] / "not" / file.name,
        file.parents[2] / "not hashed" / file.parent.name / file.name,
    ]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    link = file.with_name(f"{UUID(int=int(file.parent.name, 16))}.txt")
    link.symlink_to(strange[0])
    os.utime(link, (OLD.timestamp(), OLD.timestamp()), follow_symlinks=False)
    (tmp_path / "outputs" / ("0" * 16)).symlink_to(elsewhere.parent)
    assert re.search(r"outputs without rows +1 +2,000 bytes", prune("--older-than", "30d", "--yes"))
    assert not file.exists()
    assert link.is_symlink()
    assert all(path.read_text() == "mine" for path in strange)


def test_outputs_without_rows_are_removed_in_batches_beside_the_others(
    outputs: OutputStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator_site.retention.ROWS_AT_ONCE", 3)
    for _ in range(5):
        converse(NEW)
    kept = [leave_output(outputs, OLD, key) for key in ToolExecution.objects.values_list("id", flat=True)]
    gone = [leave_output(outputs, OLD) for _ in range(10)]
    assert re.search(r"outputs without rows +10 ", prune("--older-than", "30d", "--yes"))
    assert [all(file.exists() for file in kept), any(file.exists() for file in gone)] == [True, False]


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_unreadable_output_store_is_reported_and_not_taken_for_empty(
    outputs: OutputStore, tmp_path: Path, yes: tuple[str, ...]
) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(CommandError, match=r"A stored output could not be looked at or removed: .*outputs"):
        prune("--older-than", "30d", *yes)
    with pytest.raises(CommandError, match=r"The stored outputs could not be looked at: .*outputs"):
        call_command("database_size", stdout=StringIO())


def test_sizes_of_outputs_with_and_without_rows_are_reported(outputs: OutputStore) -> None:
    converse(NEW)
    leave_output(outputs, OLD, ToolExecution.objects.get().id)
    leave_output(outputs, OLD)
    leave_output(outputs, NEW)
    said = StringIO()
    call_command("database_size", stdout=said)
    assert re.search(r"stored outputs +3 files +6,000 bytes", said.getvalue())
    assert re.search(r"outputs without rows +1 file +2,000 bytes", said.getvalue())


def test_changes_of_a_run_are_removed_a_day_after_the_run(outputs: OutputStore, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    converse(NEW)
    old, young, known = new_id(), new_id(), Run.objects.get().id
    for run_id in (old, young, known):
        workspace.restricted(None, resources.changes().of(run_id).record).write(f"{run_id}.txt", b"text")
    folders = {kept.run_id: kept.folder for kept in resources.changes().kept()}
    for run_id in (old, known):
        os.utime(folders[run_id], (OLD.timestamp(), OLD.timestamp()))
    assert re.search(r"changes of old runs +1 ", prune("--older-than", "30d"))
    prune("--older-than", "30d", "--yes")
    assert {kept.run_id for kept in resources.changes().kept()} == {young, known}
    workspace.close()
