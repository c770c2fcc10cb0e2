"""Changes of users and groups are recorded, however they are made.

Covers `access.users.entries`, `access.users.signals`.
"""

import json

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from audit.models import AuditEntry
from tests.audit.history import problem

pytestmark = pytest.mark.django_db


def changes() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("number").values_list("kind", "subject"))


def newest(user: int) -> list[object]:
    found = AuditEntry.objects.filter(subject=str(user), kind__startswith="user.").order_by("-number").first()
    assert found is not None
    return list(json.loads(found.detail))


def test_user_is_recorded_with_flags_groups_and_permissions(permissions: None) -> None:
    user = User.objects.create_user("alice")
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_run"))
    user.groups.add(group)
    user.user_permissions.add(Permission.objects.get(codename="decide_toolexecution"))
    user.is_superuser = True
    user.save()
    assert newest(user.pk) == ["alice", True, False, True, [group.pk], ["tools.decide_toolexecution"]]
    assert problem() == ""


def test_login_and_a_save_without_a_change_are_no_changes_of_the_user(client: Client) -> None:
    user = User.objects.create_user("alice", password="secret")
    assert client.login(username="alice", password="secret")
    user.save()
    assert [kind for kind, _ in changes()] == ["user.created", "console.login"]


def test_membership_from_the_side_of_the_group_is_recorded() -> None:
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    group = Group.objects.create(name="readers")
    group.user_set.add(alice, bob)
    assert newest(bob.pk)[4] == [group.pk]
    group.user_set.clear()
    assert newest(alice.pk)[4] == newest(bob.pk)[4] == []
    alice.groups.set([group])
    alice.groups.clear()
    assert newest(alice.pk)[4] == []
    assert problem() == ""


def test_deletion_of_a_group_is_recorded_for_its_members() -> None:
    alice = User.objects.create_user("alice")
    group = Group.objects.create(name="readers")
    alice.groups.add(group)
    key = group.pk
    group.delete()
    assert changes()[-2:] == [("group.deleted", str(key)), ("user.changed", str(alice.pk))]
    assert newest(alice.pk)[4] == []
    alice.delete()
    assert changes()[-1][0] == "user.deleted"
    assert problem() == ""


def test_deletion_of_a_permission_is_recorded_for_all_that_had_it(permissions: None) -> None:
    permission = Permission.objects.get(codename="view_run")
    alice, group = User.objects.create_user("alice"), Group.objects.create(name="readers")
    alice.user_permissions.add(permission)
    group.permissions.add(permission)
    permission.delete()
    assert newest(alice.pk)[5] == []
    assert problem() == ""
