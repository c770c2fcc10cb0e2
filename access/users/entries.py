"""The audit entries of Django's users and groups: who may do what in the console.

An entry has the whole state after a change. Signals call this in the transaction of the change, if there is one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Model

from audit import chain, staff
from audit.chain import Change
from audit.covered import Covered
from audit.models import AuditEntry
from audit.records import Content

FLAGS: Final = ("username", "is_active", "is_staff", "is_superuser")
"""The fields of a user that are recorded. The password, the names and the last login are not."""


class States:
    """The states of users or groups, with their permissions, by their keys as text."""

    def __init__(self, model: type[Model], name: str, fields: Sequence[str], links: Sequence[str]) -> None:
        self.model = model
        self.name = name
        self._fields = fields
        self._links = links

    def read(self, subjects: Iterable[str], /) -> dict[str, Content]:
        """Return the states of those that exist. Raises the database's errors."""
        keys = [int(subject) for subject in subjects if subject.isascii() and subject.isdecimal() and len(subject) < 19]
        rows = self.model._default_manager.filter(pk__in=keys).values("pk", *self._fields)
        linked = {link: self.linked(link, keys) for link in self._links}
        found = {}
        for row in rows:
            key = row.pop("pk")
            values = row | {link: sorted(linked[link][key]) for link in self._links}
            owner = f"user:{key}" if self.name == "user" else ""
            found[str(key)] = Content(owner, tuple(values), list(values.values()))
        return found

    def changed(self, keys: Iterable[int], *, is_new: bool = False) -> None:
        """Record the states that differ from the newest entry's."""
        with transaction.atomic():
            for subject, content in self.read(map(str, keys)).items():
                entries = AuditEntry.objects.filter(subject=subject, kind__in=(self.created, self.change))
                newest = entries.order_by("-number").values_list("detail", flat=True).first()
                if newest != content.encoded.decode():
                    kind = self.created if is_new else self.change
                    detail, actor = content.row, staff.actor()
                    chain.record(Change(kind=kind, subject=subject, owner=content.owner, actor=actor, detail=detail))

    def deleted(self, key: int) -> None:
        """Record a deletion."""
        with transaction.atomic():
            owner = f"user:{key}" if self.name == "user" else ""
            chain.record(Change(kind=f"{self.name}.deleted", subject=str(key), owner=owner, actor=staff.actor()))

    @property
    def created(self) -> str:
        return f"{self.name}.created"

    @property
    def change(self) -> str:
        return f"{self.name}.changed"

    @property
    def covered(self) -> Covered:
        return Covered(
            name=self.name,
            model=self.model,
            whole=self,
            created=frozenset({self.created}),
            kept={self.created: self, self.change: self},
        )

    def linked(self, link: str, keys: Sequence[int]) -> dict[int, list[Any]]:
        """Return the groups, or the permissions as `app.codename`, of each row."""
        field: Any = self.model._meta.get_field(link)
        column = field.m2m_field_name()
        found: dict[int, list[Any]] = defaultdict(list)
        through = field.remote_field.through.objects.filter(**{f"{column}__in": keys})
        if field.related_model is Permission:
            names = through.values_list(f"{column}_id", "permission__content_type__app_label", "permission__codename")
            for key, app, codename in names:
                found[key].append(f"{app}.{codename}")
        else:
            for key, other in through.values_list(f"{column}_id", f"{field.m2m_reverse_field_name()}_id"):
                found[key].append(other)
        return found


USERS: Final = States(get_user_model(), "user", FLAGS, ("groups", "user_permissions"))
GROUPS: Final = States(Group, "group", ("name",), ("permissions",))
