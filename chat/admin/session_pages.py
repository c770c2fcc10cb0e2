"""The console's pages of sessions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from chat.admin import annotations, fields, searching, session_actions, timeline
from chat.models import Session
from console import columns
from console.filters import DayFilter, RecentValueFilter
from console.pages import SYNTAX
from tools.admin.fields import executions_table


@admin.register(Session)
class SessionAdmin(NamedAdmin):
    """The pages of conversations: as people read them, with their totals and the actions of operators."""

    change_form_template = "console/session.html"
    are_sections_closed = True
    change_list_template = "console/sessions.html"
    ordering = ("-updated",)
    list_display = (
        fields.title,
        columns.text("user"),
        named("owner"),
        *fields.session_totals,
        columns.moment("created"),
        fields.updated,
    )
    list_display_links = (fields.title,)
    sortable_by = (fields.updated,)
    list_filter: ClassVar = [("updated", DayFilter), ("user", RecentValueFilter), ("owner", NamedFilter)]
    search_fields = ("id__endswith",)
    search_help_text = (
        "Words of the title, the user, the metadata, the messages or the owner's name, or the id of a session or run. "
        f"{SYNTAX}"
    )
    text_sources = searching.SESSIONS
    uuid_fields = ("id", "runs__id")
    long_fields: ClassVar = {"metadata": columns.json_of("metadata")}
    section_permissions: ClassVar = {**fields.SECTIONS, "Runs": "chat.view_run"}
    sections = (
        (
            "Details",
            (
                columns.whole_link("id", "chat_session", "id"),
                fields.title,
                columns.text("user"),
                named("owner"),
                columns.whole_link("active run", "chat_run", "active_run"),
                columns.exact_moment("created"),
                columns.exact_moment("updated"),
            ),
        ),
        ("Totals", ((fields.runs, *fields.session_totals),)),
        ("Runs", (columns.column("runs", lambda row: fields.runs_table(session_id=row.pk)),)),
        ("Tool executions", (columns.column("executions", lambda row: executions_table(session_id=row.pk)),)),
        ("Metadata", (columns.block("metadata", long_fields["metadata"]),)),
    )

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("<uuid:session_id>/act/", site.admin_view(session_actions.change_view), name="chat_session_act"),
            path("<uuid:session_id>/export/", site.admin_view(session_actions.export_view), name="chat_session_export"),
            path("import/", site.admin_view(session_actions.import_view), name="chat_session_import"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_import = request.user.has_perm(session_actions.CHANGE)
        return super().changelist_view(request, {"may_import": may_import, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: Session = context["original"]
        # The permission for messages covers the conversation. The facts belong to the session.
        if self._may_see(request, "Messages"):
            context |= timeline.of_session(request, row.pk)
        context |= {**session_actions.context(request, row), "facts": fields.session_facts(row)}
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_totals(super().get_queryset(request))
