"""Admin pages of rows that refer to keys and users: columns, filters and searches by their names."""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet, UUIDField
from django.http import HttpRequest

from access.keys.names import Names, references_to
from console.columns import Column, column
from console.filters import RecentValueFilter
from console.pages import ReadOnlyAdmin


def named(field: str, title: str = "") -> Column:
    """Return a column with the name of the key or user to which a field refers, for the pages of a `NamedAdmin`."""
    return column(title or field.replace("_", " "), lambda row: row.names.link(getattr(row, field)))


class NamedAdmin(ReadOnlyAdmin):
    """Pages that read the names behind the `references` of their rows once, and find rows by them."""

    references: ClassVar[Sequence[str]] = ("owner",)
    sortable_by: ClassVar[Any]

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        self._name(found.result_list, request)
        return found

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self._name([row], request)
        return row

    def _name(self, rows: Sequence[Any], request: HttpRequest) -> None:
        names = Names((getattr(row, field) for row in rows for field in self.references), request.user)
        for row in rows:
            row.names = names

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, repeated = super().get_search_results(request, queryset, search_term)
        references = references_to(search_term.strip())
        return found | queryset.filter(self.referring(references)) if references else found, repeated

    def referring(self, references: Sequence[str]) -> Q:
        """Return the condition of rows that refer to one of these keys (by their ids) or users."""
        keys = [one for one in references if not one.startswith("user:")]
        owners = [*references, *(f"key:{key}" for key in keys)]
        ids = {field.name for field in self.opts.fields if isinstance(field, UUIDField)}
        each = (Q(**{f"{name}__in": keys if name in ids else owners}) for name in self.references)
        return reduce(or_, each)


class NamedFilter(RecentValueFilter):
    """Rows that refer to one key or user, by the names of those of the newest rows."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        self._names = Names([*self.values, self.value])
        yield from super().choices(changelist)

    def label(self, value: str) -> str:
        return self._names.text(value)
