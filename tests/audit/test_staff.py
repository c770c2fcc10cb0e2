"""Actions of staff in the console have entries with the user's name.

Covers `audit.staff`, `access.users.acting`, `access.users.logins` and
`orchestrator_site.management.commands.createsuperuser`.
"""

import json
from importlib import import_module
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client

from access.users import logins
from access.users.logins import WINDOW_SECONDS, Failures
from audit import staff
from audit.models import AuditEntry
from tests.audit.history import problem

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
GROUPS = import_module("access.migrations.0003_groups")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        return self.moment


def entries(kind: str) -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(kind=kind).order_by("number").values_list("subject", "actor"))


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root", password="correct horse"))
    return client


def test_login_logout_and_failed_login_are_recorded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "failures", Failures())
    user = User.objects.create_superuser("root", password="correct horse")
    client.post(LOGIN, {"username": "root", "password": "wrong"})
    client.post(LOGIN, {"username": "my\0 password, by mistake", "password": ""})
    client.post(LOGIN, {"username": "nobody-by-this-name", "password": "x"})
    client.post(LOGIN, {"username": "root", "password": "correct horse"})
    client.post("/admin/logout/")
    assert entries(logins.FAILED) == [(str(user.pk), ""), ("", "")]
    assert entries(logins.LOGIN) == entries(logins.LOGOUT) == [(str(user.pk), "root")]
    assert not AuditEntry.objects.filter(detail__contains="nobody-by-this-name").exists()
    assert problem() == ""


@pytest.mark.slow
def test_flood_of_failed_logins_leaves_a_bounded_number_of_entries(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(logins, "failures", Failures(3, clock))
    for _ in range(10):
        client.post(LOGIN, {"username": "root", "password": "wrong"})
    assert len(entries(logins.FAILED)) == 3
    clock.moment = WINDOW_SECONDS
    client.post(LOGIN, {"username": "root", "password": "wrong"})
    newest = AuditEntry.objects.filter(kind=logins.FAILED).order_by("-number").first()
    assert newest is not None
    assert json.loads(newest.detail) == {"left_out": 7}
    assert problem() == ""


def test_changes_of_users_and_groups_in_the_console_have_their_actor(admin: Client, permissions: None) -> None:
    form: dict[str, Any] = {"username": "ann", "usable_password": "false", "_save": "Save"}
    assert admin.post("/admin/auth/user/add/", form).status_code == 302
    assert admin.post("/admin/auth/group/add/", {"name": "auditors", "_save": "Save"}).status_code == 302
    ann, group = User.objects.get(username="ann"), Group.objects.get(name="auditors")
    changed = {"username": "ann", "is_active": "on", "groups": [group.pk], "date_joined_0": "2026-01-01",
               "date_joined_1": "00:00:00", "_save": "Save"}  # fmt: skip
    assert admin.post(f"/admin/auth/user/{ann.pk}/change/", changed).status_code == 302
    assert admin.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 302
    assert AuditEntry.objects.get(kind="user.created", subject=str(ann.pk)).actor == "root"
    assert entries("group.created")[-1] == entries("group.deleted")[-1] == (str(group.pk), "root")
    assert {actor for _, actor in entries("user.changed")} == {"root"}
    assert problem() == ""


def test_change_outside_of_the_console_has_no_actor(admin: Client) -> None:
    admin.get("/admin/")
    User.objects.create_user("ann")
    assert entries("user.created")[-1][1] == ""


def test_action_of_staff_is_recorded_with_its_user_and_owner() -> None:
    user = User.objects.create_user("ann")
    staff.record(user, "run.cancelled", "a-run", "key:ci", {"status": "running"})
    entry = AuditEntry.objects.get(kind="run.cancelled")
    assert (entry.subject, entry.owner, entry.actor, json.loads(entry.detail)) == (
        "a-run",
        "key:ci",
        "ann",
        {"status": "running"},
    )
    assert problem() == ""


@pytest.fixture
def groups() -> None:
    """Make the groups, which are gone after a test with a server."""
    GROUPS.make(apps, SimpleNamespace(connection=connection))


def test_groups_are_made_once_and_keep_what_an_administrator_changed(groups: None) -> None:
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.clear()
    GROUPS.make(apps, SimpleNamespace(connection=connection))
    assert viewer.permissions.count() == 0
    assert Group.objects.get(name="operator").permissions.count() == len(GROUPS.OPERATOR)
    assert problem() == ""


@pytest.mark.django_db(transaction=True, available_apps=[app.name for app in apps.get_app_configs()])
def test_superuser_whose_entry_cannot_be_written_is_not_created(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError

    given = {"interactive": False, "email": "", "stdout": StringIO()}
    with monkeypatch.context() as broken:
        broken.setattr("access.users.entries.chain.record", fail)
        with pytest.raises(DatabaseError):
            call_command("createsuperuser", username="root", **given)
    assert not User.objects.exists()
    call_command("createsuperuser", username="root", **given)
    assert entries("user.created") == [(str(User.objects.get().pk), "")]
