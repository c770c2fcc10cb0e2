"""Django's signals about users, groups and permissions, from which their audit entries are made."""

from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete

from access.keys import entries as key_entries
from access.models import ApiKey
from access.users.entries import FLAGS, GROUPS, USERS, States
from audit import conf

AFTER: Final = frozenset({"post_add", "post_remove", "post_clear"})
AFFECTED: Final = "_users_and_groups_that_it_changes"


def connect() -> None:
    """Listen to the signals. Calling this again changes nothing."""
    user = get_user_model()
    for changed in (user, Group):
        post_save.connect(saved, changed, dispatch_uid=f"audit.{changed.__name__}.saved")
    models: tuple[type[Model], ...] = (user, Group, Permission, ApiKey)
    for model in models:
        pre_delete.connect(deleting, model, dispatch_uid=f"audit.{model.__name__}.deleting")
        post_delete.connect(deleted, model, dispatch_uid=f"audit.{model.__name__}.deleted")
    for links in (user.groups, user.user_permissions, Group.permissions):
        m2m_changed.connect(linked, links.through, dispatch_uid=f"audit.{links.through.__name__}.linked")


def saved(sender: type[Model], instance: Any, created: bool, update_fields: Any = None, **_: Any) -> None:
    """Record a user or a group that was made or changed."""
    # A login only writes `last_login`.
    if conf.is_kept() and (update_fields is None or {*update_fields} & {*FLAGS, "name"}):
        _states(sender).changed([instance.pk], is_new=created)


def linked(sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_: Any) -> None:
    """Record those whose groups or permissions changed."""
    if not conf.is_kept():
        return
    if action == "pre_clear":
        setattr(instance, AFFECTED, _affected(instance))
    elif action in AFTER and not reverse:
        _states(type(instance)).changed([instance.pk])
    elif action in AFTER:
        # From the other side, as by `group.user_set.add(user)`.
        sides = {field.related_model for field in sender._meta.fields if field.is_relation} - {type(instance)}
        _states(sides.pop()).changed(pk_set or ())
        if pk_set is None:
            _record(getattr(instance, AFFECTED, ()))


def deleting(instance: Any, **_: Any) -> None:
    """Remember whose rights a deletion takes, while it is known."""
    # The cascade deletes links without a signal.
    if conf.is_kept() and isinstance(instance, Group | Permission):
        setattr(instance, AFFECTED, _affected(instance))


def deleted(sender: type[Model], instance: Any, **_: Any) -> None:
    """Record a deletion, and those whose rights it took."""
    if not conf.is_kept():
        return
    if isinstance(instance, ApiKey):
        key_entries.deleted(instance)
    elif not isinstance(instance, Permission):
        _states(sender).deleted(instance.pk)
    _record(getattr(instance, AFFECTED, ()))


def _states(model: type[Model]) -> States:
    return GROUPS if model is Group else USERS


def _affected(instance: Any) -> list[tuple[States, list[int]]]:
    """Return the users and groups whose rights change with a group or a permission."""
    found = [(USERS, list(instance.user_set.values_list("pk", flat=True)))] if hasattr(instance, "user_set") else []
    if isinstance(instance, Permission):
        found.append((GROUPS, list(instance.group_set.values_list("pk", flat=True))))
    return found


def _record(affected: Iterable[tuple[States, list[int]]]) -> None:
    for states, keys in affected:
        states.changed(keys)
