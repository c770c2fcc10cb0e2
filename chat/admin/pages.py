"""The audit console's pages of sessions, messages and runs."""

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from chat.admin import annotations, fields, home, log_table, run_actions, searching, session_actions, timeline
from chat.history import changes
from chat.models import Attachment, Message, Run, Session
from console import columns
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import SYNTAX, ReadOnlyAdmin
from console.site import ConsoleSite
from tools.admin.fields import executions_table

ConsoleSite.home = home.context
ConsoleSite.cursor = changes.cursor

SECTIONS: Final = {"Messages": "chat.view_message", "Tool executions": "tools.view_toolexecution"}
"""The permissions that sections of several pages need."""

_session = columns.whole_link("session", "chat_session", "session_id")
_run = columns.whole_link("run", "chat_run", "run_id")
_tokens = tuple(columns.number(f"{kind}_tokens", kind) for kind in ("input", "output", "cached", "reasoning"))
_provider = columns.text("provider")
_model = columns.text("model")
_reason = columns.text("reason")


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
    section_permissions: ClassVar = {**SECTIONS, "Runs": "chat.view_run"}
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
        if self._may_see(request, "Messages"):
            context |= timeline.page_of_session(request, row)
        context |= {**session_actions.context(request, row), "facts": fields.session_facts(row)}
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_totals(super().get_queryset(request))


@admin.register(Run)
class RunAdmin(NamedAdmin):
    """The pages of runs: what a run did and why, what it cost, and the actions of operators."""

    change_form_template = "console/run.html"
    are_sections_closed = True
    ordering = ("-created",)
    list_display = (
        fields.time,
        fields.run_id,
        fields.run_status,
        _reason,
        fields.session_title,
        _model,
        *_tokens[:2],
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
    section_permissions: ClassVar = {**SECTIONS, "Events": "chat.view_message", "events": "chat.view_message"}
    sections = (
        (
            "Details",
            (
                columns.whole_link("id", "chat_run", "id"),
                _session,
                named("owner"),
                named("key"),
                (fields.run_status, _reason),
                columns.block("error", long_fields["error"]),
                _provider,
                _model,
                columns.text("process"),
            ),
        ),
        ("Time", ((*(columns.exact_moment(name) for name in ("created", "started", "ended")), fields.took),)),
        ("Tokens and cost", ((*_tokens, fields.cost, fields.counted),)),
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
            context["entries"] = timeline.of_run(request, row.pk)
        context |= {**run_actions.context(request, row), "facts": fields.run_facts(row)}
        if context["is_open"]:
            # The pieces after it are of the answer that is being written.
            context["last_event"] = log_table.last_settled_event(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def title_of(self, row: Run) -> str:
        return f"Run of {row.created:%Y-%m-%d %H:%M:%S}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_session_title(super().get_queryset(request))


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """The pages of messages."""

    ordering = ("-id",)
    list_display = (
        columns.moment("created", "time"),
        fields.message_id,
        fields.role,
        fields.content,
        columns.text("tool"),
        _model,
        *_tokens[:2],
        fields.cost,
        columns.link("session", "chat_session", "session_id"),
        columns.link("run", "chat_run", "run_id"),
    )
    list_display_links = (fields.message_id, fields.content)
    sortable_by = (fields.message_id,)
    list_filter: ClassVar = [
        ("run__created", DayFilter),
        "role",
        *((field, RecentValueFilter) for field in ("provider", "model", "tool")),
        "is_error",
        *((field, BelongsToFilter) for field in ("session_id", "run_id")),
    ]
    # No field is scanned, but without one there would be no search.
    search_fields = ("id__endswith",)
    search_help_text = f"Words of the text or the tool's name, or the id of a session, a run or a tool call. {SYNTAX}"
    text_sources = searching.MESSAGES
    uuid_fields = ("session_id", "run_id")
    section_permissions: ClassVar = SECTIONS
    long_fields: ClassVar = {
        "content": lambda row: row.content,
        "tool_calls": columns.json_of("tool_calls"),
        "summarizes": columns.json_of("summarizes"),
        "provider_parts": columns.json_of("provider_parts"),
    }
    sections = (
        (
            None,
            (
                fields.message_id,
                fields.role,
                _session,
                _run,
                columns.exact_moment("created"),
                _provider,
                _model,
                columns.text("tool"),
                columns.text("call_id"),
            ),
        ),
        ("Text", (columns.block("content", long_fields["content"]),)),
        ("Pictures", (columns.column("pictures", fields.pictures),)),
        ("Tool calls", (columns.block("tool_calls", long_fields["tool_calls"]),)),
        ("Summarized messages", (columns.block("summarizes", long_fields["summarizes"]),)),
        ("Tool executions", (columns.column("executions", fields.executions_of_calls),)),
        ("Tokens and cost", ((*_tokens, fields.cost, fields.counted),)),
        ("Provider parts", (columns.block("provider_parts", long_fields["provider_parts"]),)),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.picture_view)
        return [path("<int:message_id>/pictures/<int:key>/", view, name="chat_message_picture"), *super().get_urls()]

    def picture_view(self, request: HttpRequest, message_id: int, key: int) -> HttpResponse:
        """Return a picture of a message, with the type that was detected when it came."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Attachment.objects.filter(message=message_id, pk=key).first()
        if found is None:
            raise Http404
        headers = {"Cache-Control": "private, max-age=3600"}
        return HttpResponse(bytes(found.data), content_type=found.media_type, headers=headers)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_beginnings(super().get_queryset(request))
