"""The actions of operators in the console. Covers `chat.admin.run_actions` and `chat.admin.session_actions`."""

import json
from uuid import UUID, uuid4

import aiohttp
import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from chat.admin import run_actions
from chat.engine.model_port import Finished, TokensUsed
from chat.models import Session
from chat.providers.scripted import Scripted, text
from tests.chat.admin.staff import session_of, staff
from tests.chat.admin.test_pages import change, message, page, run, session
from tests.conftest import Start
from tools import resources
from tools.changes.undo import ChangedSince
from tools.workspace.writing import Replaced

IMPORT = "/admin/chat/session/import/"
RUN_ACTIONS = ("cancel", "undo")


@pytest.fixture
def operator(client: Client, permissions: None) -> Client:
    client.force_login(staff("op", "chat.view_session", "chat.view_message", "chat.change_session", "chat.view_run"))
    return client


def act(client: Client, key: UUID, **form: str) -> int:
    return client.post(reverse("admin:chat_session_act", args=[key]), form).status_code


async def test_only_staff_can_send_a_large_file(start: Start) -> None:
    api = await start(Scripted())
    user = await sync_to_async(staff)()
    padding = json.dumps({"type": "message", "role": "user", "content": "x" * 200_000})
    form = aiohttp.FormData({"csrfmiddlewaretoken": "a" * 32})
    form.add_field("file", f'{{"type": "session"}}\n{padding}'.encode(), filename="s.jsonl")
    cookies = f"csrftoken={'a' * 32}"
    refused = await api.call("POST", IMPORT, data=form, headers={"Cookie": cookies})
    assert (refused.status, refused.code) == (403, "forbidden")
    form = aiohttp.FormData({"csrfmiddlewaretoken": "a" * 32})
    form.add_field("file", f'{{"type": "session"}}\n{padding}'.encode(), filename="s.jsonl")
    own = {"Cookie": f"{cookies}; sessionid={await session_of(user)}"}
    made = await api.call("POST", IMPORT, data=form, headers=own, allow_redirects=False)
    assert made.status == 302
    assert await Session.objects.acount() == 1


@pytest.mark.parametrize("action", RUN_ACTIONS)
def test_run_is_not_changed_without_the_permission_or_by_a_link(operator: Client, action: str) -> None:
    turn = run(session(), status="running")
    there = reverse(f"admin:chat_run_{action}", args=[turn.pk])
    assert operator.get(there).status_code == 405
    assert operator.post(there).status_code == 403
    assert f'action="{there}"' not in page(operator, change(turn))


@pytest.mark.parametrize("action", RUN_ACTIONS)
def test_action_on_a_run_that_does_not_exist_is_404(client: Client, db: None, action: str) -> None:
    client.force_login(staff())
    assert client.post(reverse(f"admin:chat_run_{action}", args=[uuid4()])).status_code == 404


def test_open_run_is_not_undone(client: Client, db: None) -> None:
    client.force_login(staff())
    turn = run(session(), status="running")
    answer = client.post(reverse("admin:chat_run_undo", args=[turn.pk]), follow=True)
    assert "The run is running. Wait for its end, or cancel it." in answer.content.decode()


@pytest.mark.parametrize(
    ("action", "said"), [("cancel", "The run is completed already."), ("undo", "The run changed no files.")]
)
def test_action_that_finds_nothing_to_do_is_not_in_the_audit(client: Client, db: None, action: str, said: str) -> None:
    client.force_login(staff())
    turn = run(session())
    answer = client.post(reverse(f"admin:chat_run_{action}", args=[turn.pk]), follow=True)
    assert said in answer.content.decode()
    assert not AuditEntry.objects.filter(subject=str(turn.pk)).exists()


def test_refused_undo_names_files_with_their_hidden_characters_escaped(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed_since(*_: object) -> None:
        raise ChangedSince(["a\u202etxt.exe"])

    monkeypatch.setattr(run_actions, "restore", changed_since)
    client.force_login(staff())
    turn = run(session())
    replaced = Replaced(path="a", before=b"", before_size=0, was_executable=False, after=b"b", is_executable=False)
    resources.changes().of(turn.pk).record([replaced])
    answer = client.post(reverse("admin:chat_run_undo", args=[turn.pk]), follow=True).content.decode()
    assert "Nothing was restored: a\\u202etxt.exe changed since the run." in answer


def test_session_is_renamed_archived_and_forked_with_an_entry_for_each(operator: Client) -> None:
    one = session(title="Old", owner="user:7")
    message(run(one), content="Keep me")
    for form in ({"action": "rename", "title": " New\x00line "}, {"action": "archive"}, {"action": "fork"}):
        assert act(operator, one.pk, **form) == 302
    one.refresh_from_db()
    assert (one.title, one.archived) == ("New\ufffdline", True)
    copy = Session.objects.exclude(pk=one.pk).get()
    assert copy.owner == "user:7"
    assert "Keep me" in page(operator, change(copy))
    assert act(operator, one.pk, action="restore") == 302
    kinds = AuditEntry.objects.filter(actor="op", kind__startswith="session.").order_by("number")
    assert [(entry.kind, entry.subject) for entry in kinds] == [
        ("session.renamed", str(one.pk)),
        ("session.archived", str(one.pk)),
        ("session.forked", str(copy.pk)),
        ("session.restored", str(one.pk)),
    ]


def test_form_that_names_no_action_changes_nothing(operator: Client) -> None:
    one = session(title="Old")
    for form in ({}, {"action": "delete"}, {"action": "rename", "title": "  "}):
        assert act(operator, one.pk, **form) == 302
    assert "Unknown action. Valid: rename, archive, restore, fork." in page(operator, change(one))
    assert Session.objects.get().title == "Old"
    assert act(operator, uuid4(), action="archive") == 404


async def test_export_is_a_download_that_can_be_imported_again(start: Start) -> None:
    api = await start(Scripted([text("Kept"), TokensUsed(input_tokens=1, output_tokens=1), Finished(reason="stop")]))
    await api.ask(message="Keep me")
    user = await sync_to_async(staff)()
    one = await Session.objects.aget()
    there = reverse("admin:chat_session_export", args=[one.pk])
    headers = {"Cookie": f"sessionid={await session_of(user)}"}
    exported = await api.call("GET", there, headers=headers)
    assert exported.headers["Content-Disposition"] == f'attachment; filename="session-{one.pk}.jsonl"'
    assert b"Keep me" in exported.body
    assert b"</html>" in (await api.call("GET", f"{there}?format=html", headers=headers)).body
    client = Client()
    await sync_to_async(client.force_login)(user)
    given = {"file": SimpleUploadedFile("s.jsonl", exported.body)}
    made = await sync_to_async(client.post)(IMPORT, given, follow=True)
    assert "2 messages imported." in made.content.decode()
    assert await Session.objects.acount() == 2
    kinds = ("session.exported", "session.imported")
    assert await AuditEntry.objects.filter(actor="op", kind__in=kinds).acount() == 3


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", "file is empty"), (b"{", "line 1"), (b'{"type":"message"}', "line 1")]
)
def test_import_of_a_broken_file_stores_nothing(operator: Client, data: bytes, problem: str) -> None:
    answer = operator.post(IMPORT, {"file": SimpleUploadedFile("s.jsonl", data)}, follow=True)
    assert problem in answer.content.decode()
    assert "Choose a file" in operator.post(IMPORT, follow=True).content.decode()
    assert not Session.objects.exists()


def test_viewer_of_sessions_without_messages_sees_no_text_and_takes_no_action(
    client: Client, permissions: None
) -> None:
    client.force_login(staff("viewer", "chat.view_session"))
    one = session()
    message(run(one), content="plover")
    shown = page(client, change(one))
    assert "plover" not in shown
    assert "Export" not in shown
    assert act(client, one.pk, action="archive") == 403
    assert client.get(reverse("admin:chat_session_export", args=[one.pk])).status_code == 403
    assert client.post(IMPORT).status_code == 403
