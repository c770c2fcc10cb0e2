"""The audit console's pages of tool executions, requested as an operator's browser does.

Covers `console.words`, `tools.admin.fields` and `tools.admin.pages`.
"""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console import cells
from console.visible_text import visible_text, visible_text_line
from tools.models import ToolExecution

LIST = "/admin/tools/toolexecution/"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202etxt.exe\r\nnext"
START = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


def execution(**fields: object) -> ToolExecution:
    values = {
        "id": uuid4(), "owner": "operator", "session_id": uuid4(), "run_id": uuid4(), "tool": "fs.read",
        "source": "model", "params": {"path": "notes.txt"}, "params_sha256": "0" * 64, "status": "succeeded",
        "data": {"content": "plover"}, "created": START, "ended": START, "duration_ms": 12.5,
    }  # fmt: skip
    return ToolExecution.objects.create(**values | fields)


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def change(row: ToolExecution) -> str:
    return reverse("admin:tools_toolexecution_change", args=[row.pk])


def test_list_shows_the_request_and_its_outcome(console: Client) -> None:
    row = execution()
    execution(status="failed", error="There is no such file.", tool="fs.write")
    text = unescape(page(console, LIST))
    for shown in ('{"path": "notes.txt"}', '{"content": "plover"}', "There is no such file.", "12.5 ms", "Failed"):
        assert shown in text
    assert reverse("admin:chat_session_change", args=[row.session_id]) in text
    assert reverse("admin:chat_run_change", args=[row.run_id]) in text


def test_question_names_the_texts_from_outside(console: Client) -> None:
    expires = timezone.now() + timedelta(hours=1)
    waits = execution(status="awaiting_approval", expires=expires, ended=None, taint={"web": "web.fetch"})
    assert "The conversation holds texts from outside: web (web.fetch)." in page(console, change(waits))


@pytest.mark.parametrize("role", ["superuser", "staff"])
def test_executions_cannot_be_added_changed_or_deleted(client: Client, permissions: None, role: str) -> None:
    staff = User.objects.create(username="op", is_staff=True, is_superuser=role == "superuser")
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="tools"))
    client.force_login(staff)
    row = execution()
    assert client.get(change(row)).status_code == 200
    assert client.post(change(row), {"tool": "fs.write"}).status_code == 403
    assert client.get(LIST + "add/").status_code == 403
    assert client.post(change(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.tool == "fs.read"


def test_operator_decides_a_waiting_call_on_its_page(console: Client) -> None:
    waits = execution(status="awaiting_approval", expires=timezone.now() + timedelta(hours=1), ended=None)
    text = page(console, change(waits))
    assert "Approve" in text
    decide = reverse("admin:tools_toolexecution_decide", args=[waits.pk])
    assert console.post(decide, {"verdict": "approved", "params_sha256": "f" * 64}, follow=True).status_code == 200
    waits.refresh_from_db()
    assert waits.decision == ""
    assert console.get(decide).status_code == 405
    answer = console.post(
        decide, {"verdict": "denied", "params_sha256": waits.params_sha256, "note": "No."}, follow=True
    )
    assert "The execution of fs.read was denied" in answer.content.decode()
    waits.refresh_from_db()
    assert (waits.decision, waits.decided_by, waits.note) == ("denied", "op", "No.")
    assert "Approve" not in page(console, change(waits))


def test_page_of_a_waiting_call_shows_the_params_whole_and_deny_first(console: Client) -> None:
    content = "print(1)\n" * 5_000 + "os.remove('x')"
    waits = execution(
        status="awaiting_approval", expires=timezone.now() + timedelta(hours=1), ended=None, tool="fs.write",
        params={"path": "a.py", "content": content, "patch": "+<b>\u202e"},
    )  # fmt: skip
    text = page(console, change(waits))
    assert text.count("os.remove(") == 1
    assert "<b>" not in text
    assert "\u202e" not in text
    buttons = re.findall(r'<button class="(audit-\w+)" name="verdict" value="(\w+)">([^<]+)<', text)
    # The first button of a form is the one that Enter presses.
    assert buttons == [("audit-deny", "denied", "Deny"), ("audit-approve", "approved", "Approve: run fs.write")]
    assert "autofocus" not in text
    decide = reverse("admin:tools_toolexecution_decide", args=[waits.pk])
    form = {"verdict": "approved", "params_sha256": waits.params_sha256}
    assert "The execution of fs.write was approved" in console.post(decide, form, follow=True).content.decode()
    assert "os.remove(" not in page(console, change(waits))


def test_result_is_shown_by_its_fields_with_their_lines(console: Client) -> None:
    text = page(console, change(execution(data={"content": "one\ntwo", "size": 7})))
    assert "<strong>content</strong>" in text
    assert "one\n</span>" in text
    assert "\\n" not in text


def test_decision_needs_its_permission(client: Client, permissions: None) -> None:
    staff = User.objects.create(username="op", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_toolexecution"))
    client.force_login(staff)
    waits = execution(status="awaiting_approval", expires=timezone.now() + timedelta(hours=1), ended=None)
    shown = page(client, change(waits))
    assert "Approve" not in shown
    assert "notes.txt" in shown
    decide = reverse("admin:tools_toolexecution_decide", args=[waits.pk])
    assert client.post(decide, {"verdict": "approved", "params_sha256": waits.params_sha256}).status_code == 403
    guarded = Client(enforce_csrf_checks=True)
    staff.user_permissions.set(Permission.objects.filter(codename="decide_toolexecution"))
    guarded.force_login(staff)
    assert guarded.post(decide, {"verdict": "approved", "params_sha256": waits.params_sha256}).status_code == 403
    waits.refresh_from_db()
    assert waits.decision == ""


def test_user_without_the_permission_sees_nothing(client: Client, db: None) -> None:
    row = execution()
    whole = change(row).replace("change", "whole/data")
    assert client.get(LIST).status_code == 302
    client.force_login(User.objects.create(username="mallory", is_staff=True))
    for path in (LIST, change(row), whole):
        assert client.get(path).status_code == 403


def test_hostile_text_is_escaped_and_shown_completely(console: Client) -> None:
    params = {"path": HOSTILE}
    row = execution(tool=HOSTILE, call_id=HOSTILE, params=params, data=params, error=HOSTILE, code="failed")
    for path in (LIST, change(row), f"{LIST}?q=alert"):
        text = page(console, path)
        assert "<script>alert" not in text
        assert not {"\x1b", "\u202e"} & set(text)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "\\u202e" in text
    assert "<script>alert" not in page(console, f"{LIST}?code=<script>alert(1)</script>")


def test_long_text_is_truncated_and_available_whole(console: Client) -> None:
    content = "日本" * cells.LONG + "\x1b the end"
    row = execution(data={"content": content})
    text = page(console, change(row))
    assert "the end" not in text
    whole = reverse("admin:tools_toolexecution_whole", args=[row.pk, "data"])
    assert whole in text
    response = console.get(whole)
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment;")
    assert "日本\\u001b the end" in response.content.decode()
    assert len(page(console, LIST)) < 50_000


def test_only_long_fields_are_available_whole(console: Client) -> None:
    row = execution()
    assert console.get(reverse("admin:tools_toolexecution_whole", args=[row.pk, "owner"])).status_code == 404
    assert console.get(reverse("admin:tools_toolexecution_whole", args=[uuid4(), "data"])).status_code == 404
    assert console.get(change(row).replace("change", "history")).status_code == 404


def test_page_without_the_database_says_when_to_come_back(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(request: HttpRequest) -> QuerySet[ToolExecution]:
        raise OperationalError("database is locked")

    console.raise_request_exception = False
    monkeypatch.setattr(site.get_model_admin(ToolExecution), "get_queryset", locked)
    shown = console.get(LIST)
    assert (shown.status_code, shown.headers["Retry-After"]) == (503, "1")


def test_search_finds_params_results_and_errors_and_is_bounded(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.pages.MAX_MATCHES", 2)
    for day in range(3):
        execution(created=START + timedelta(days=day), params={"path": f"notes_{day}.txt"})
    execution(params={"path": "other"}, data={"text": "a lighthouse"}, output="printed", error="It broke")
    shown = page(console, f"{LIST}?q=notes")
    assert "2 tool executions" in shown
    assert "Only the first 2 matches are shown." in shown
    assert [name in shown for name in ("notes_0", "notes_1", "notes_2")] == [False, True, True]
    for found in ("lighthouse", "printed", "broke", '"a lighthouse"', "light", "other -notes"):
        assert "1 tool execution\n" in page(console, f"{LIST}?q={quote(found)}"), found
    for missing in ("house", '"lighthouse a"', "other -lighthouse", "li"):
        assert "0 tool executions" in page(console, f"{LIST}?q={quote(missing)}"), missing


def test_search_is_combined_with_filters_and_begins_at_the_day(console: Client) -> None:
    for day in range(3):
        execution(created=START + timedelta(days=day), tool="fs.read" if day else "fs.write")
    for query, count in (("created__on=2026-03-05", 1), ("tool=fs.write", 1), ("created__on=2026-03-09", 0)):
        assert f"{count} tool execution" in page(console, f"{LIST}?q=notes&{query}")


def test_search_that_takes_too_long_says_so(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    execution()
    monkeypatch.setattr("console.pages.MAX_SEARCH_SECONDS", 0)
    monkeypatch.setattr("storage.search.matches.INSTRUCTIONS", 1)
    assert "older matches may be missing" in page(console, f"{LIST}?q=notes")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 3),
        ("?created__on=2026-03-04", 2),
        ("?created__on=2026-03-05", 1),
        ("?created__on=2026-03-05&tool=fs.read", 0),
        ("?status__exact=failed", 1),
        ("?tool=fs.read", 2),
        ("?source=caller", 1),
        ("?code=not_found", 1),
        ("?q=notes.txt", 2),
        ("?q=missing", 1),
        ("?session_id=11111111-1111-1111-1111-111111111111", 1),
        ("?q=11111111-1111-1111-1111-111111111111", 1),
        ("?run_id=22222222222222222222222222222222", 1),
        ("?q=22222222", 0),
    ],
)
def test_list_is_filtered_and_searched(console: Client, query: str, found: int) -> None:
    execution(session_id=UUID("1" * 32))
    execution(run_id=UUID("2" * 32), created=START - timedelta(hours=12), source="caller")
    late = {"created": START + timedelta(days=1), "tool": "fs.write", "params": {}}
    execution(status="failed", code="not_found", error="missing.txt", **late)
    assert f"{found} tool execution" in page(console, LIST + query)


@pytest.mark.parametrize("query", ["?created__on=banana", "?created__on=9999-12-31", "?session_id=x"])
def test_invalid_filter_is_dropped(console: Client, query: str) -> None:
    execution()
    assert console.get(LIST + query).status_code == 302


def test_execution_is_found_by_the_end_of_its_id(console: Client) -> None:
    row = execution()
    execution()
    assert "1 tool execution" in page(console, f"{LIST}?q={str(row.pk)[-8:]}")


def test_number_of_list_queries_does_not_grow_with_the_rows(console: Client, django_assert_num_queries: object) -> None:
    # One query is for the keys of a page, if there are several pages.
    for more, queries in ((1, 11), (40, 11), (60, 12)):
        for _ in range(more):
            execution()
        with django_assert_num_queries(queries):
            console.get(LIST)


def test_hidden_characters_are_escaped_and_others_kept() -> None:
    assert visible_text("a\x1b[2J\x07\x9b\r\u202e\u2066\u200b\ufeff\U000e0041") == (
        "a\\x1b[2J\\x07\\x9b\\r\\u202e\\u2066\\u200b\\ufeff\\U000e0041"
    )
    assert visible_text("a\u3164b\u2800\u115f\ufe00\U000e0100") == "a\\u3164b\\u2800\\u115f\\ufe00\\U000e0100"
    for kept in ("\u2764\ufe0f", "tab\tline\nend", "日本語 مرحبا 👨\u200d👩", "\u0645\u200c\u062e", "a\u00a0b\u3000c"):
        assert visible_text(kept) == kept
    assert visible_text("one\r\ntwo") == "one\ntwo"
    assert visible_text("\ud800") == "\\ud800"


def test_line_is_truncated_with_an_ellipsis() -> None:
    assert visible_text_line("  one\n two ", 10) == "one two"
    assert visible_text_line("x" * 11, 10) == "x" * 9 + "…"
    assert visible_text_line("a" + " " * 100 + "b", 10) == "a…"
    assert len(visible_text_line("\x1b" * 100, 10)) == 10
