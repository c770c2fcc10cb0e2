"""`manage.py prune` and `database_size`: what goes, what stays, and what they say."""

import asyncio
import re
from datetime import timedelta
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
from tools import toolbox
from tools.models import ToolExecution
from tools.outputs import OutputStore

pytestmark = pytest.mark.django_db

NOW = timezone.now()
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(hours=1)
EVERYTHING = (Session, Run, RunKey, Order, Message, Attachment, RunEvent, ToolExecution)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OutputStore:
    store = OutputStore(tmp_path / "outputs", 10**6)
    monkeypatch.setattr(toolbox, "outputs", lambda: store)
    return store


def converse(when: Any, *, status: str = "completed", execution: str = "succeeded", owner: str = "alice") -> UUID:
    """A session with one run and one row of everything else; an open run is the session's."""
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


def prune(*arguments: str) -> str:
    said = StringIO()
    call_command("prune", *arguments, stdout=said)
    return said.getvalue()


def counts() -> list[int]:
    return [model._default_manager.count() for model in EVERYTHING]


def test_without_yes_it_says_what_would_go_and_removes_nothing(outputs: OutputStore) -> None:
    converse(OLD)
    before = counts()
    said = prune("--older-than", "30d")
    assert counts() == before
    assert re.search(r"run_events +1 +500 bytes", said)
    assert re.search(r"attachments +1 +1,000 bytes", said)
    assert re.search(r"8 rows and files, [\d,]+ bytes would be removed: give --yes", said)


def test_old_conversations_go_and_new_ones_stay(outputs: OutputStore) -> None:
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
def test_an_open_run_and_all_around_it_stay(outputs: OutputStore, status: str) -> None:
    converse(OLD, status=status)
    prune("--older-than", "1h", "--yes")
    assert counts() == [1] * len(EVERYTHING)


@pytest.mark.parametrize("status", ["running", "awaiting_approval"])
def test_an_open_execution_stays(outputs: OutputStore, status: str) -> None:
    converse(OLD, execution=status)
    prune("--older-than", "1h", "--yes")
    assert [Session.objects.count(), ToolExecution.objects.count()] == [0, 1]


def test_a_session_with_an_active_run_stays(outputs: OutputStore) -> None:
    Session.objects.filter(id=converse(OLD)).update(active_run=new_id())
    prune("--older-than", "1h", "--yes")
    assert [Session.objects.count(), Message.objects.count()] == [1, 1]


def test_frames_go_earlier_than_what_was_said(outputs: OutputStore, settings: Any) -> None:
    settings.EVENT_RETENTION_HOURS = 24
    converse(NOW - timedelta(days=2))
    converse(NEW)
    prune("--older-than", "30d", "--yes")
    assert [RunEvent.objects.count(), Message.objects.count(), Session.objects.count()] == [1, 2, 2]


def test_what_a_killed_pruning_had_taken_goes_with_the_next(outputs: OutputStore) -> None:
    converse(NEW, owner="")
    prune("--older-than", "30d", "--yes")
    assert Session.objects.count() == 0


def test_many_rows_go_in_batches(outputs: OutputStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_site.pruning.ROWS_AT_ONCE", 3)
    for _ in range(10):
        converse(OLD)
    prune("--older-than", "30d", "--yes")
    assert counts() == [0] * len(EVERYTHING)


@pytest.mark.parametrize("age", ["30", "soon", "-1d"])
def test_nonsense_is_told_what_is_valid(age: str) -> None:
    with pytest.raises(CommandError, match="give a number and h, d or w"):
        call_command("prune", f"--older-than={age}")


def test_the_size_of_each_table_and_what_a_turn_adds() -> None:
    converse(OLD)
    converse(NEW)
    said = StringIO()
    call_command("database_size", stdout=said)
    assert re.search(
        rf"run_events +2 rows +\d+,\d+ bytes  {OLD:%Y-%m-%d %H:%M} - {NEW:%Y-%m-%d %H:%M}", said.getvalue()
    )
    assert "average of the newest 2: 500 bytes of frames in 1.0 rows, 100 characters in 1.0 messages" in said.getvalue()
    assert int(re.findall(r"all +([\d,]+) bytes", said.getvalue())[0].replace(",", "")) > 10_000


def test_calls_of_speech_and_accounts_that_have_ended_go_and_what_is_spent_for_ever_stays(outputs: OutputStore) -> None:
    for when in (OLD, NEW):
        SpeechRequest.objects.create(id=new_id(), owner="alice", operation="synthesis", status="running", created=when)
    names = ["service:usd", "service:usd/2025-01", "key:a:tokens/2025-01-02", "run:r:usd", "session:s:usd"]
    for name in names:
        Account.objects.create(name=name, spent=5, reserved=0, updated=OLD)
    Account.objects.create(name="run:open:usd", spent=0, reserved=5, updated=OLD)
    Account.objects.create(name="service:usd/new", spent=5, reserved=0, updated=NEW)
    prune("--older-than", "30d", "--yes")
    assert [row.created for row in SpeechRequest.objects.all()] == [NEW]
    kept = {"service:usd", "service:usd/new", "run:open:usd"}
    assert set(Account.objects.values_list("name", flat=True)) == kept
