"""The console's pages of tool executions."""

from typing import Any, ClassVar, Final
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from audit.admin import VIEW, entries_table
from console import cells, columns, error_pages
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import SYNTAX
from console.text_search import TextSource
from console.visible_text import visible_text
from tools import resources
from tools.admin import card, fields
from tools.approvals import decisions
from tools.execution.searched import EXECUTIONS
from tools.models import ToolExecution

_whole = {
    "params": columns.json_of("params"),
    "data": columns.json_of("data"),
    "error": lambda row: row.error,
    "output": lambda row: row.output,
    "note": lambda row: row.note,
}
EXECUTION_TEXTS: Final = TextSource(index=EXECUTIONS, permission="tools.view_toolexecution")
ASKED: Final = "Asked for"
AUDIT: Final = "Audit"
PAGE_BYTES: Final = 64 * 1_024
"""Bytes of an output's page."""

MAX_OFFSET_DIGITS: Final = 15


@admin.register(ToolExecution)
class ToolExecutionAdmin(NamedAdmin):
    """The pages of tool executions. An execution that awaits an approval can be decided there."""

    change_form_template = "console/execution.html"
    ordering = ("-created",)
    list_display = (
        fields.time,
        fields.tool,
        fields.status,
        columns.text("source", "asked by"),
        fields.params,
        fields.result,
        fields.took,
        columns.link("session", "chat_session", "session_id"),
        columns.link("run", "chat_run", "run_id"),
    )
    list_display_links = (fields.tool,)
    sortable_by = (fields.time,)
    list_filter: ClassVar = [
        ("created", DayFilter),
        "status",
        *((field, RecentValueFilter) for field in ("tool", "source", "code")),
        ("owner", NamedFilter),
        *((field, BelongsToFilter) for field in ("session_id", "run_id")),
    ]
    search_fields = ("id__endswith",)
    search_help_text = (
        "Words of the tool's name, params, result, output, error or the owner's name; or the ID of an execution, a "
        f"session or a run. {SYNTAX}"
    )
    text_sources = (EXECUTION_TEXTS,)
    references = ("owner", "decided_by")
    uuid_fields = ("id", "session_id", "run_id")
    long_fields = _whole
    sections = (
        (
            None,
            (
                columns.whole_link("id", "tools_toolexecution", "id"),
                fields.tool,
                fields.status,
                columns.text("source", "asked by"),
                named("owner"),
                columns.text("call_id"),
                columns.whole_link("session", "chat_session", "session_id"),
                columns.whole_link("run", "chat_run", "run_id"),
            ),
        ),
        (
            "Time",
            (
                (
                    columns.exact_moment("created"),
                    columns.exact_moment("started"),
                    columns.exact_moment("ended"),
                    fields.took,
                ),
            ),
        ),
        (ASKED, (columns.column("params", fields.values_of("params")), columns.text("params_sha256"))),
        (
            "Approval",
            (
                (columns.text("decision"), named("decided_by"), columns.exact_moment("decided")),
                (columns.exact_moment("expires"), fields.taint),
                columns.block("note", _whole["note"]),
            ),
        ),
        (
            "Outcome",
            (
                (columns.text("code"), columns.text("confinement")),
                columns.block("error", _whole["error"]),
                columns.column("data", fields.values_of("data")),
                columns.block("output", _whole["output"]),
                (columns.number("output_size"), columns.text("output_sha256"), columns.text("truncated")),
            ),
        ),
        (AUDIT, (columns.column("entries", lambda row: entries_table(str(row.pk))),)),
    )
    section_permissions: ClassVar = {AUDIT: VIEW}

    def get_urls(self) -> list[URLPattern]:
        views = {"decide": self.decide_view, "output": self.output_view, "audio": self.audio_view}
        own = [
            path(f"<uuid:execution_id>/{name}/", self.admin_site.admin_view(view), name=f"tools_toolexecution_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        # The form of a decision shows the params itself.
        is_repeated = card.may_decide(request, obj)
        return [one for one in super().get_fieldsets(request, obj) if not (is_repeated and one[0] == ASKED)]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: ToolExecution = context["original"]
        context["form"] = card.decision_form(request, row)
        if row.output_size:
            context["output_url"] = reverse("admin:tools_toolexecution_output", args=[row.pk])
        if card.has_audio(row):
            context["audio_url"] = reverse("admin:tools_toolexecution_audio", args=[row.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    def decide_view(self, request: HttpRequest, execution_id: UUID) -> HttpResponse:
        """Record an operator's decision. It is bound to the params that the page showed."""
        if request.method != "POST":
            return error_pages.only_post()
        if not request.user.has_perm(card.DECIDE):
            raise PermissionDenied
        verdict: decisions.Verdict = "approved" if request.POST.get("verdict") == "approved" else "denied"
        given = {"params_sha256": request.POST.get("params_sha256", ""), "note": request.POST.get("note", "")}
        try:
            with transaction.atomic():
                row = decisions.decide(execution_id, verdict, by=request.user.get_username(), **given)
        except decisions.DecisionRefused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"The execution of {fields.tool(row)} was {verdict}; its run continues.")
            if request.POST.get("goes_back") and row.run_id:
                return HttpResponseRedirect(reverse("admin:chat_run_change", args=[row.run_id]))
        return HttpResponseRedirect(reverse("admin:tools_toolexecution_change", args=[execution_id]))

    def output_view(self, request: HttpRequest, execution_id: UUID) -> HttpResponse:
        """Return a page of the whole output, from the byte `offset` of the output store."""
        row = self._viewed(request, execution_id)
        given = request.GET.get("offset", "0")
        if not (given.isascii() and given.isdigit() and len(given) <= MAX_OFFSET_DIGITS):
            raise BadRequest("The offset is not a number of bytes.")
        # The store reads in threads of its own, as for the API.
        page = async_to_sync(resources.outputs().page)(row.owner, row.pk, int(given), PAGE_BYTES)
        if page is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": f"Output of {fields.tool(row)}",
            "opts": self.opts,
            "execution_url": reverse("admin:tools_toolexecution_change", args=[row.pk]),
            "text": visible_text(page.text),
            "first": cells.number(page.offset),
            "last": cells.number(page.next_offset or page.size),
            "size": cells.number(page.size),
            "previous": max(0, page.offset - PAGE_BYTES) if page.offset else None,
            "next": page.next_offset,
        }
        return TemplateResponse(request, "console/output.html", context)

    def audio_view(self, request: HttpRequest, execution_id: UUID) -> HttpResponse:
        """Return the audio file that the execution wrote or read."""
        found = card.audio(self._viewed(request, execution_id))
        if found is None:
            raise Http404
        data, media_type = found
        # The file may be replaced, so a browser must not keep it.
        return HttpResponse(data, content_type=media_type, headers={"Cache-Control": "private, no-store"})

    def _viewed(self, request: HttpRequest, execution_id: UUID) -> ToolExecution:
        row = ToolExecution.objects.filter(pk=execution_id).first()
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolExecution]:
        return fields.beginnings(super().get_queryset(request))
