"""The console's pages of keys, requested as an operator's browser does."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.keys import issuing
from access.keys.key_format import parse
from access.models import ApiKey

LIST = "/admin/access/apikey/"
ADD = LIST + "add/"
FORM = {"name": "ci", "scopes": "chat git.*", "expires": "30d", "rate": "5/second", "max_runs": "3",
        "budgets": "10usd/month, 1usd/run", "user": ""}  # fmt: skip


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


def key(name: str = "ci", **given: Any) -> ApiKey:
    return issuing.issue(issuing.validated(timezone.now(), name=name, **given), timezone.now()).row


def change(row: ApiKey) -> str:
    return reverse("admin:access_apikey_change", args=[row.pk])


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_key_is_created_and_its_secret_is_shown_once(console: Client) -> None:
    response = console.post(ADD, FORM)
    found = re.search(r"osk_[0-9A-Za-z]{49}", response.content.decode())
    assert found
    secret = found[0]
    assert "no-store" in response.headers["Cache-Control"]
    row = ApiKey.objects.get()
    assert row.sha256 == parse(secret.encode()).sha256
    assert (row.scopes, row.budgets, row.max_runs) == (["chat", "git.*"], ["10usd/month", "1usd/run"], 3)
    for path in (LIST, ADD, change(row), "/admin/"):
        assert secret not in page(console, path)
    assert secret not in str(response.cookies) + str(console.session.items())
    assert LogEntry.objects.get().object_id == str(row.pk)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "required"),
        ("name", "\x1b[31m", "printable"),
        ("scopes", "shout", "is not a scope"),
        ("scopes", "fs.raed", "matches no tool"),
        ("budgets", "ten", "A budget is an amount"),
        ("expires", "2020-01-01", "in the past"),
        ("rate", "lots", "A rate is"),
        ("max_runs", "many", "whole number"),
        ("user", "7", "valid choice"),
    ],
)
def test_each_invalid_field_is_reported(console: Client, field: str, value: str, said: str) -> None:
    text = console.post(ADD, {**FORM, field: value}).content.decode()
    assert said in text
    assert "errorlist" in text
    assert not ApiKey.objects.exists()


INVALID = {"name": "ci", "scopes": "shout", "expires": "2020-01-01", "rate": "lots", "max_runs": "many",
           "budgets": "ten", "user": "7"}  # fmt: skip


@pytest.mark.parametrize("valid", ["name", "max_runs", "user", ""])
def test_all_invalid_fields_are_reported_at_once_each_at_its_own(console: Client, valid: str) -> None:
    key("ci")
    sent = {name: FORM[name] if name == valid else value for name, value in INVALID.items()}
    sent |= {"name": "other"} if valid == "name" else {}
    text = console.post(ADD, sent).content.decode()
    rows = re.findall(r'<div class="form-row( errors)?">(.*?)</label>', text, re.DOTALL)
    assert [bool(errors) for errors, _ in rows] == [name != valid for name in INVALID]
    assert [row.count("<li>") for _, row in rows] == [int(name != valid) for name in INVALID]
    # A browser that checks the form itself would report one field at a time.
    assert "novalidate" in text
    assert ApiKey.objects.count() == 1


def test_what_only_a_superuser_may_give_is_reported_with_other_errors(client: Client, permissions: None) -> None:
    staff = User.objects.create(username="op", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="add_apikey"))
    client.force_login(staff)
    other = User.objects.create(username="ann")
    text = client.post(ADD, {**FORM, "scopes": "chat keys", "user": str(other.pk), "rate": "lots"}).content.decode()
    for said in ("Only a superuser creates keys for another user", "scopes audit or keys", "A rate is"):
        assert said in text
    assert not ApiKey.objects.exists()


def test_duplicate_name_is_reported(console: Client) -> None:
    key("ci")
    assert "Revoke it, or choose another name" in console.post(ADD, FORM).content.decode()


def test_markup_in_a_name_is_escaped(console: Client) -> None:
    hostile = "<script>alert(1)</script>"
    assert hostile not in console.post(ADD, {**FORM, "name": hostile}).content.decode()
    row = ApiKey.objects.get()
    for path in (LIST, change(row), "/admin/", "/admin/access/"):
        text = page(console, path)
        assert hostile not in text
    assert "&lt;script&gt;" in page(console, LIST)
    assert hostile not in console.post(change(row).replace("change", "revoke"), follow=True).content.decode()


def test_key_is_revoked_once_from_its_page_or_the_list(console: Client) -> None:
    one, other = key("one"), key("other")
    assert "Revoke</button>" in page(console, change(one))
    assert "Revoked: one." in console.post(change(one).replace("change", "revoke"), follow=True).content.decode()
    one.refresh_from_db()
    assert one.revoked is not None
    assert "Revoke</button>" not in page(console, change(one))
    action = {"action": "revoke_selected", "_selected_action": [str(one.pk), str(other.pk)]}
    text = console.post(LIST, action, follow=True).content.decode()
    assert "Revoked: other." in text
    assert "Revoked: one." not in text
    assert not ApiKey.objects.filter(revoked=None).exists()
    assert console.get(change(one).replace("change", "revoke")).status_code == 405
    assert "Revoked" in page(console, LIST)


def test_key_cannot_be_changed_or_deleted(console: Client) -> None:
    row = key("ci")
    assert console.post(change(row), {"name": "changed"}).status_code == 403
    assert console.post(change(row).replace("change", "delete"), {"post": "yes"}).status_code == 403
    console.post(LIST, {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    row.refresh_from_db()
    assert (row.name, row.revoked) == ("ci", None)


def test_view_permission_does_not_allow_creating_or_revoking(client: Client, permissions: None) -> None:
    staff = User.objects.create(username="op", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    client.force_login(staff)
    row = key("ci")
    assert "Revoke</button>" not in page(client, change(row))
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {**FORM, "name": "other"}).status_code == 403
    assert client.post(change(row).replace("change", "revoke")).status_code == 403
    client.post(LIST, {"action": "revoke_selected", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.revoked is None


def test_form_without_csrf_token_creates_no_key(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    assert client.post(ADD, FORM).status_code == 403
    assert not ApiKey.objects.exists()


def test_user_with_keys_cannot_be_deleted(console: Client) -> None:
    user = User.objects.create(username="alice")
    row = key("ci", user_id=user.pk)
    assert "alice" in page(console, LIST)
    console.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"})
    row.refresh_from_db()
    assert row.user == user


def test_only_a_superuser_creates_keys_for_others_and_for_everything(client: Client, permissions: None) -> None:
    staff = User.objects.create(username="staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["add_apikey", "view_apikey"]))
    other = User.objects.create(username="op", is_superuser=True)
    client.force_login(staff)
    for changes in ({"user": str(other.pk)}, {"scopes": "chat audit"}, {"scopes": "keys"}):
        assert "Only a superuser" in client.post(ADD, FORM | changes).content.decode()
    assert not ApiKey.objects.exists()
    client.post(ADD, FORM | {"user": str(staff.pk)})
    assert ApiKey.objects.get().user_id == staff.pk
