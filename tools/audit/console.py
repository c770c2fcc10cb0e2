"""What every page of the audit console is: a record that nobody can change, in bounded pages."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse

from tools.audit import cells
from tools.visible import visible_line

ROWS: Final = 50
"""Rows of a page, and of a table on another row's page."""


class AuditAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it is generic for type checkers alone
    """A read-only list with a read-only page for each row, whoever looks.

    `long_fields` are shown cut where they are long; `<row>/whole/<field>/` gives each as a text file. A search that is a
    UUID looks the rows up by `uuid_fields`, which are indexed.
    """

    actions = None
    list_per_page = ROWS
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "audit/record.html"

    long_fields: ClassVar[Sequence[str]] = ()
    uuid_fields: ClassVar[Sequence[str]] = ("id",)

    class Media:
        css: ClassVar = {"all": ["audit/console.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        key = _uuid(search_term)
        if key is None:
            return super().get_search_results(request, queryset, search_term)
        found = queryset.none()
        for field in self.uuid_fields:
            found |= queryset.filter(**{field: key})
        return found, False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        name = visible_line(str(context["original"]), 100)
        return super().render_change_form(
            request, {**context, "record": name, "subtitle": None, "title": name}, *args, **kwargs
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """There is none: nothing here was ever changed."""
        raise Http404

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.whole_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_whole"
        return [path("<path:object_id>/whole/<slug:field>/", view, name=name), *super().get_urls()]

    def whole_view(self, request: HttpRequest, object_id: str, field: str) -> HttpResponseBase:
        """A long field, whole and exact, as a text file."""
        row = self.get_object(request, unquote(object_id))
        if row is None or field not in self.long_fields:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        name = quote(f"{self.opts.model_name}-{row.pk}-{field}.txt")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(self.whole(row, field), content_type="text/plain; charset=utf-8", headers=headers)

    def whole(self, row: Any, field: str) -> str | bytes:
        """What `whole_view` gives of a field."""
        value = getattr(row, field)
        return value if isinstance(value, str) else cells.pretty(value)

    def whole_url(self, row: Any, field: str) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_whole", args=[row.pk, field])

    def block(self, row: Any, field: str) -> str:
        """A long field as its row's page shows it."""
        value = getattr(row, field)
        return cells.NOTHING if value in (None, {}, []) else cells.block(self._text(value), self.whole_url(row, field))

    @staticmethod
    def _text(value: Any) -> str:
        return value if isinstance(value, str) else cells.pretty(value)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip()) if len(text.strip()) >= 32 else None  # noqa: PLR2004 - the digits of one
    except ValueError:
        return None
