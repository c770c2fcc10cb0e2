"""The console's pages of the audit chain."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from audit.models import AuditEntry
from tests.audit.history import ALICE, run_tool

LIST = "/admin/audit/auditentry/"


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


def test_entries_are_listed_shown_and_filtered_and_cannot_be_changed(console: Client) -> None:
    execution_id = run_tool()
    entry = AuditEntry.objects.get(kind="execution.ended")
    shown = page(console, LIST)
    assert "execution.started" in shown
    assert "user.created" in shown
    filtered = page(console, f"{LIST}?kind=execution.ended&owner={ALICE}")
    assert f"{LIST}{entry.number}/change/" in filtered
    assert "user.created</td>" not in filtered
    assert str(execution_id) in page(console, f"{LIST}?q={execution_id}")
    whole = page(console, f"{LIST}{entry.number}/change/")
    assert bytes(entry.hash).hex() in whole
    assert bytes(entry.previous).hex() in whole
    for path in (f"{LIST}add/", f"{LIST}{entry.number}/delete/"):
        assert console.get(path).status_code == 403
    assert console.post(f"{LIST}{entry.number}/change/", {"kind": "other"}).status_code == 403


def test_page_of_an_execution_shows_its_entries_to_those_who_may_see_them(
    console: Client, client: Client, permissions: None
) -> None:
    execution_id = run_tool()
    path = f"/admin/tools/toolexecution/{execution_id}/change/"
    numbers = AuditEntry.objects.filter(subject=str(execution_id)).values_list("number", flat=True)
    shown = page(console, path)
    assert all(f"{LIST}{number}/change/" in shown for number in numbers)
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_toolexecution"))
    client.force_login(viewer)
    assert LIST not in page(client, path)


def test_search_without_an_index_covers_the_first_rows_and_says_so(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.pages.BATCH", 2)
    users = [User.objects.create(username=f"ann-{number}") for number in range(5)]
    subjects = [f'<td class="field-subject">{user.pk}</td>' for user in users]
    whole = page(console, f"{LIST}?q=user.cre")
    assert all(subject in whole for subject in subjects)
    assert "rows were searched" not in whole
    monkeypatch.setattr("console.pages.MAX_SEARCH_SECONDS", 0)
    newest = page(console, f"{LIST}?q=user.cre")
    assert [subject in newest for subject in subjects] == [False, False, False, True, True]
    assert "Only the first 2 rows were searched" in newest
