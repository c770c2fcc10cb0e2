"""The console's pages of runs."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from chat.admin import annotations, fields, log_table, run_actions, searching, timeline
from chat.models import Run
from console import columns
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import SYNTAX


@admin.register(Run)
class RunAdmin(NamedAdmin):
    """The pages of runs: a timeline with the cost of each step, and the actions of operators."""

    change_form_template = "console/run.html"
    are_sections_closed = True
    ordering = ("-created",)
    list_display = (
        fields.time,
        fields.run_id,
        fields.run_status,
        fields.reason,
        fields.session_title,
        fields.model,
        *fields.tokens[:2],
        fields.cost,
        fields.took,
        fields.run_error,
    )
    list_display_links = (fields.run_id,)
    sortable_by = (fields.time,)
    list_filter: ClassVar = [
        ("created", DayFilter),
        "status",
        *((field, RecentValueFilter) for field in ("provider", "model", "reason")),
        ("session__owner", NamedFilter),
        ("session_id", BelongsToFilter),
    ]
    search_fields = ("id__endswith",)
    search_help_text = (
        "Words of the run, its messages, its tool executions or its session, the key's name, or the id of a run or "
        f"session. {SYNTAX}"
    )
    text_sources = searching.RUNS
    uuid_fields = ("id", "session_id")
    references = ("key", "owner")
    long_fields: ClassVar = {
        "error": lambda row: row.error,
        "options": columns.json_of("options"),
        "metadata": columns.json_of("metadata"),
        "events": log_table.whole_log,
    }
    section_permissions: ClassVar = {**fields.SECTIONS, "Events": "chat.view_message", "events": "chat.view_message"}
    sections = (
        (
            "Details",
            (
                columns.whole_link("id", "chat_run", "id"),
                fields.session_link,
                named("owner"),
                named("key"),
                (fields.run_status, fields.reason),
                columns.block("error", long_fields["error"]),
                fields.provider,
                fields.model,
                columns.text("process"),
            ),
        ),
        ("Time", ((*(columns.exact_moment(name) for name in ("created", "started", "ended")), fields.took),)),
        ("Tokens and cost", ((*fields.tokens, fields.cost, fields.counted),)),
        ("Events", (columns.column("events", log_table.log_table),)),
        ("Options", (columns.block("options", long_fields["options"]),)),
        ("Metadata", (columns.block("metadata", long_fields["metadata"]),)),
    )

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("<uuid:run_id>/cancel/", site.admin_view(run_actions.cancel_view), name="chat_run_cancel"),
            path("<uuid:run_id>/undo/", site.admin_view(run_actions.undo_view), name="chat_run_undo"),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: Run = context["original"]
        if self._may_see(request, "Messages"):
            context |= timeline.of_run(request, row.pk)
        context |= {**run_actions.context(request, row), "facts": fields.run_facts(row)}
        if context["is_open"]:
            # The pieces after it are of the answer that is being written.
            context["last_event"] = log_table.last_settled_event(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def title_of(self, row: Run) -> str:
        return f"Run of {row.created:%Y-%m-%d %H:%M:%S}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_session_title(super().get_queryset(request))
