"""The base of all admin pages: read-only records, in bounded pages."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, ClassVar, Final
from urllib.parse import quote
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import flatten, unquote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import F, Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst

from console.columns import Column
from console.filters import DayFilter
from console.text_search import TextMatches, TextSource
from console.visible_text import visible_text_line
from console.words import Words

ROWS: Final = 50
"""Rows of a list's page, and of a table on another row's page."""

UUID_DIGITS: Final = 32
HEX: Final = re.compile(r"[0-9a-fA-F -]*")
ID_END: Final = "id__endswith"
LOOKUPS: Final = ("__startswith", "__endswith")
"""Lookups that a search field may name; any other field is searched for words."""

MAX_MATCHES: Final = 1_000
"""Rows that a search finds at most."""

MAX_SEARCH_SECONDS: Final = 0.1
BATCH: Final = 20_000
"""Rows that are searched at least, and whose time is measured."""

Section = tuple[str | None, Sequence[Column | tuple[Column, ...]]]
"""A title, and the lines of a page: one field each, or several side by side."""

SYNTAX: Final = 'All words must be in one text: "a phrase", begin*, -without.'
"""The help for a search in the indexes of words."""

WIDE: Final = "audit-wide"
"""The class of a section whose only field takes the whole width, without a label."""

COLLAPSED: Final = "collapse"
"""Django's class of a section that is closed at first."""


class KeysFirst(Paginator):  # type: ignore[type-arg]  # it is generic for type checkers alone
    """Finds the keys of a page before it reads the rows."""

    def page(self, number: int | str) -> "Page[Any]":
        # OFFSET reads and drops the rows before the page. This query has only keys, so their long texts are not read.
        page = super().page(number)
        every: Any = self.object_list
        rows: Any = page.object_list
        page.object_list = every.filter(pk__in=list(rows.values_list("pk", flat=True)))
        return page


class Matches(ChangeList):
    """A list that shows the first matches of a search only, which takes a limited time."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # Django would add the conditions of the search to those of the filters, and read the table to count.
        query, self.query = self.query, ""
        rows = super().get_queryset(request, exclude_parameters)
        self.query = query
        if not query:
            is_joined = any("__" in one.field_path for one in self._days())
            # PostgreSQL would read the rows in the order of their keys, and look up the day of each, to save a sort.
            return (
                rows.order_by((F("pk") + 0).desc()) if is_joined and {*rows.query.order_by} <= {"-id", "-pk"} else rows
            )
        until = time.perf_counter() + MAX_SEARCH_SECONDS
        keys = dict.fromkeys(islice(self._found(request, rows, until), MAX_MATCHES + 1))
        if len(keys) > MAX_MATCHES:
            self.search_help_text = f"{self.search_help_text} Only the first {MAX_MATCHES:,} matches are shown."
        return self.root_queryset.filter(pk__in=list(keys)[:MAX_MATCHES]).order_by(*rows.query.order_by)

    def _found(self, request: HttpRequest, rows: QuerySet[Any], until: float) -> Iterator[Any]:
        """Yield the keys that match: those in the indexes of words, then those that a scan of the table finds."""
        model_admin: Any = self.model_admin
        is_id = _uuid(self.query.strip()) is not None
        sources = [source for source in model_admin.text_sources if request.user.has_perm(source.permission)]
        if sources and not is_id:
            found = TextMatches(sources, self.query, rows, until=until, day=self._day())
            yield from found
            if found.is_cut:
                self.search_help_text = (
                    f"{self.search_help_text} The search took too long, so older matches may be missing: choose a day, "
                    "or a rarer word."
                )
        matching, _ = model_admin.get_search_results(request, rows, self.query)
        if not matching.query.is_empty():
            yield from self._matches(matching, until)

    def _days(self) -> list[DayFilter]:
        return [one for one in self.filter_specs if isinstance(one, DayFilter) and one.value is not None]

    def _day(self) -> str:
        """Return the field of this table by which the list is limited to a day; empty if it is not."""
        return next((one.field_path for one in self._days() if "__" not in one.field_path), "")

    def _matches(self, rows: QuerySet[Any], until: float) -> Iterator[Any]:
        """Yield the keys of rows in batches of the whole table, until the time is over."""
        order = str(rows.query.order_by[0])
        field = order.removeprefix("-")
        here, beyond = ("gte", "lt") if order.startswith("-") else ("lte", "gt")
        table = self.model._default_manager.order_by(order).values_list(field, flat=True)
        began = time.perf_counter()
        size, searched = BATCH, 0
        while True:
            last = next(iter(table[size - 1 : size]), None)
            batch = rows if last is None else rows.filter(**{f"{field}__{here}": last})
            yield from batch.values_list("pk", flat=True)[: MAX_MATCHES + 1]
            if last is None:
                return
            searched += size
            now = time.perf_counter()
            # The next batch has as many rows as the rest of the time should suffice for.
            size = int(searched * (until - now) / (now - began))
            if size < BATCH:
                self.search_help_text = (
                    f"{self.search_help_text} Only the first {searched:,} rows were searched: choose a filter or "
                    "another order for others."
                )
                return
            rows, table = (each.filter(**{f"{field}__{beyond}": last}) for each in (rows, table))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it is generic for type checkers alone
    """A read-only list, with a read-only page for each row.

    `sections` are the parts of a page. `long_fields` are shown shortened; `<row>/whole/<name>/` returns each as a text
    file. A search for a UUID looks up rows by `uuid_fields`, which are indexed. Words are searched in the indexes of
    `text_sources`, if there are any, and in the columns `search_fields` by reading them.
    """

    actions = None
    list_per_page = ROWS
    # No "Show all" link: a table can have millions of rows.
    list_max_show_all = 0
    paginator = KeysFirst
    # Each would count the whole table again, for every list and every choice of a filter.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "console/record.html"

    sections: ClassVar[Sequence[Section]]
    are_sections_closed: ClassVar[bool] = False
    # True for pages that show something else first.
    section_permissions: ClassVar[Mapping[str, str]] = {}
    # The permission that a section, by its title, or a long field needs besides that of the page.
    sortable_by: ClassVar[Any]
    long_fields: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    uuid_fields: ClassVar[Sequence[str]] = ("id",)
    text_sources: ClassVar[Sequence[TextSource]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        lines: list[Any] = [line for _, lines in self.sections for line in lines]
        return flatten(lines)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        closed = [COLLAPSED] if self.are_sections_closed else []
        return [
            (title, {"fields": list(lines), "classes": [*closed, *([WIDE] if title and _is_one_field(lines) else [])]})
            for title, lines in self.sections
            if self._may_see(request, title)
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        key = _uuid(search_term.strip())
        if key is None or not self.uuid_fields:
            # The indexes have the words of such a list, so only the end of an id is left to look for.
            is_id = "id" in self.uuid_fields and HEX.fullmatch(search_term)
            if search_term and self.text_sources and not is_id:
                return queryset.none(), False
            return super().get_search_results(request, queryset, search_term)
        rows = self.model._default_manager.order_by()
        # One subquery for each field, so that the database can use the index of each one.
        each = (Q(pk__in=rows.filter(**{field: key}).values("pk")) for field in self.uuid_fields)
        return queryset.filter(reduce(or_, each)), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Matches

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        # The end of an id is found only by its digits, and comparing each id takes as long as each text.
        is_id = HEX.fullmatch(request.GET.get(SEARCH_VAR, ""))
        return [
            name if name.endswith(LOOKUPS) else f"{name}__{Words.lookup_name}"
            for name in self.search_fields
            if name != ID_END or is_id or self.text_sources
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        name = visible_text_line(self.title_of(context["original"]), 100)
        return super().render_change_form(request, {**context, "title": name, "subtitle": None}, *args, **kwargs)

    def title_of(self, row: Any) -> str:
        """Return the title of a row's page."""
        return str(row)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Return 404: a record never changes, so it has no history."""
        raise Http404

    def _may_see(self, request: HttpRequest, part: str | None) -> bool:
        """Return whether the user may see a section or a long field."""
        permission = self.section_permissions.get(part or "")
        return permission is None or request.user.has_perm(permission)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.whole_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_whole"
        return [path("<path:object_id>/whole/<slug:field>/", view, name=name), *super().get_urls()]

    def whole_view(self, request: HttpRequest, object_id: str, field: str) -> HttpResponse:
        """Return a long field, whole and exact, as a text file."""
        row = self.get_object(request, unquote(object_id))
        if row is None or field not in self.long_fields:
            raise Http404
        if not self.has_view_permission(request, row) or not self._may_see(request, field):
            raise PermissionDenied
        name = quote(f"{self.opts.model_name}-{row.pk}-{field}.txt")
        # As a download: in the console's origin the browser must not render a model's text.
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        text = self.long_fields[field](row)
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def _is_one_field(lines: Sequence[object]) -> bool:
    return len(lines) == 1 and not isinstance(lines[0], tuple)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) >= UUID_DIGITS else None
    except ValueError:
        return None
