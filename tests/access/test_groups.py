"""The groups of the console: the pages and actions that each group has, and those that it is refused."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from storage.ids import new_id
from tools.mcp_client import pins
from tools.mcp_client.tool_set import ToolSet
from tools.models import McpToolSet, ToolExecution

MIGRATION = import_module("access.migrations.0003_groups")
ADDITION = import_module("access.migrations.0004_mcp_tool_sets")
RECORDS = (
    "chat/session", "chat/message", "chat/run", "tools/toolexecution", "speech/speechrequest", "spending/use",
    "spending/account", "access/apikey", "audit/auditentry", "tools/mcptoolset",
)  # fmt: skip
GROUPS = ("viewer", "approver", "operator")


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest, client: Client, db: None) -> str:
    """Log in as a member of each group in turn."""
    MIGRATION.make(apps, SimpleNamespace(connection=connection))
    ADDITION.add(apps, SimpleNamespace(connection=connection))
    user = User.objects.create(username="ann", is_staff=True)
    user.groups.add(Group.objects.get(name=request.param))
    client.force_login(user)
    return str(request.param)


def waiting() -> ToolExecution:
    now = timezone.now()
    return ToolExecution.objects.create(
        id=new_id(), tool="fs.write", params={}, params_sha256="ab", status="awaiting_approval", source="model",
        created=now, expires=now + timedelta(hours=1),
    )  # fmt: skip


def test_every_member_sees_all_records_and_neither_users_nor_groups(group: str, client: Client) -> None:
    for path in RECORDS:
        assert client.get(f"/admin/{path}/").status_code == 200, path
    for path in ("auth/user", "auth/group"):
        for end in ("", "add/"):
            assert client.get(f"/admin/{path}/{end}").status_code == 403, path


def test_decisions_need_an_approver(group: str, client: Client) -> None:
    row = waiting()
    answer = client.post(f"/admin/tools/toolexecution/{row.pk}/decide/", {"verdict": "denied", "params_sha256": "ab"})
    row.refresh_from_db()
    may = group in {"approver", "operator"}
    assert (answer.status_code, row.decision) == ((302, "denied") if may else (403, ""))


def test_keys_are_made_and_revoked_by_operators_only(group: str, client: Client) -> None:
    form: dict[str, Any] = {"name": "new", "scopes": "chat"}
    row = issuing.issue(issuing.validated(timezone.now(), name="ci"), timezone.now(), by="root").row
    made = client.post("/admin/access/apikey/add/", form)
    revoked = client.post(f"/admin/access/apikey/{row.pk}/revoke/")
    row.refresh_from_db()
    is_operator = group == "operator"
    assert (made.status_code, revoked.status_code) == ((200, 302) if is_operator else (403, 403))
    assert (ApiKey.objects.filter(name="new").exists(), row.revoked is not None) == (is_operator, is_operator)
    assert client.post("/admin/access/apikey/add/", {**form, "scopes": "keys", "name": "all"}).status_code in {200, 403}
    assert not ApiKey.objects.filter(name="all").exists()


def test_tools_of_mcp_servers_are_accepted_by_operators_only(group: str, client: Client) -> None:
    pins.note_found("wiki", ToolSet())
    row = McpToolSet.objects.get()
    answer = client.post(f"/admin/tools/mcptoolset/{row.pk}/accept/", {"sha256": row.sha256})
    asked = client.post("/admin/tools/mcptoolset/ask/")
    row.refresh_from_db()
    is_operator = group == "operator"
    assert (answer.status_code, asked.status_code) == ((302, 302) if is_operator else (403, 403))
    assert (row.accepted_by == "ann") is is_operator


def test_records_stay_unchangeable_for_every_group(group: str, client: Client) -> None:
    row = waiting()
    for end in ("change/", "delete/"):
        assert client.post(f"/admin/tools/toolexecution/{row.pk}/{end}", {"post": "yes"}).status_code == 403


def test_permissions_of_actions_on_runs_belong_to_operators(group: str) -> None:
    user = User.objects.get(username="ann")
    given = [user.has_perm(f"chat.{name}") for name in ("cancel_run", "undo_run", "change_session")]
    assert given == [group == "operator"] * 3


def test_group_with_one_of_these_names_keeps_its_own_permissions(db: None) -> None:
    Group.objects.create(name="operator")
    MIGRATION.make(apps, SimpleNamespace(connection=connection))
    ADDITION.add(apps, SimpleNamespace(connection=connection))
    assert Group.objects.get(name="operator").permissions.count() == 0
    assert Group.objects.get(name="approver").permissions.count() == len(MIGRATION.APPROVER) + 1
