"""The console's pages of tool executions."""

from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Substr
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from audit.admin import VIEW, entries_table
from console import cells, columns
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import ROWS, SYNTAX
from console.params import params
from console.text_search import TextSource
from tools.approvals import decisions
from tools.execution.searched import EXECUTIONS
from tools.models import ToolExecution


def _beginnings(queryset: QuerySet[ToolExecution]) -> QuerySet[ToolExecution]:
    """Load only the beginnings of the long columns."""
    # A list shows one line of each: whole columns would be megabytes a page.
    return queryset.defer("params", "data", "error", "output").annotate(
        params_start=Substr(Cast("params", TextField()), 1, cells.PREFIX),
        data_start=Substr(Cast("data", TextField()), 1, cells.PREFIX),
        error_start=Substr("error", 1, cells.PREFIX),
    )


_status = columns.status()
_time = columns.moment("created", "time", sortable=True)
_tool = columns.text("tool")
_params = columns.column("params", lambda row: cells.short_json(row.params_start))
_result = columns.column(
    "outcome", lambda row: cells.short(row.error_start) if row.error_start else cells.short_json(row.data_start)
)
_took = columns.column("took", lambda row: cells.duration(row.duration_ms))
_whole = {
    "params": columns.json_of("params"),
    "data": columns.json_of("data"),
    "error": lambda row: row.error,
    "output": lambda row: row.output,
    "note": lambda row: row.note,
}
EXECUTION_TEXTS: Final = TextSource(index=EXECUTIONS, permission="tools.view_toolexecution")
DECIDE: Final = "tools.decide_toolexecution"
ASKED: Final = "Asked for"
AUDIT: Final = "Audit"


def _values_of(field: str) -> columns.Column:
    """Return a function that shows each value of a JSON field by its name."""

    def shown(row: ToolExecution) -> str:
        # Before a decision, nothing that it is about may be missing.
        url = "" if row.awaits_decision else reverse("admin:tools_toolexecution_whole", args=[row.pk, field])
        return params(getattr(row, field), url)

    return shown


_all_params = _values_of("params")


def _may_decide(request: HttpRequest, row: ToolExecution | None) -> bool:
    return row is not None and row.awaits_decision and request.user.has_perm(DECIDE)


def executions_table(**of: object) -> str:
    """Return a table of the newest executions with these column values, for another row's page, oldest first."""
    found = ToolExecution.objects.filter(**of)
    newest = _beginnings(found.order_by("-created"))[:ROWS]
    rows = [
        (
            _time(row),
            cells.link("tools_toolexecution", row.pk, _tool(row)),
            _status(row),
            cells.short(row.source),
            _params(row),
            _result(row),
            _took(row),
        )
        for row in reversed(newest)
    ]
    shown = cells.table(("Time", "Tool", "Status", "Asked by", "Params", "Outcome", "Took"), rows)
    return cells.with_rest(shown, "tools_toolexecution", len(rows), found.count(), of)


@admin.register(ToolExecution)
class ToolExecutionAdmin(NamedAdmin):
    """The pages of tool executions. An execution that awaits an approval can be decided there."""

    change_form_template = "console/execution.html"
    ordering = ("-created",)
    list_display = (
        _time,
        _tool,
        _status,
        columns.text("source", "asked by"),
        _params,
        _result,
        _took,
        columns.link("session", "chat_session", "session_id"),
        columns.link("run", "chat_run", "run_id"),
    )
    list_display_links = (_tool,)
    sortable_by = (_time,)
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
                _tool,
                _status,
                columns.text("source", "asked by"),
                named("owner"),
                columns.text("call_id"),
                columns.whole_link("session", "chat_session", "session_id"),
                columns.whole_link("run", "chat_run", "run_id"),
            ),
        ),
        (
            "Time",
            ((columns.exact_moment("created"), columns.exact_moment("started"), columns.exact_moment("ended"), _took),),
        ),
        (ASKED, (columns.column("params", _all_params), columns.text("params_sha256"))),
        (
            "Approval",
            (
                (columns.text("decision"), named("decided_by"), columns.exact_moment("decided")),
                columns.exact_moment("expires"),
                columns.block("note", _whole["note"]),
            ),
        ),
        (
            "Outcome",
            (
                (columns.text("code"), columns.text("confinement")),
                columns.block("error", _whole["error"]),
                columns.column("data", _values_of("data")),
                columns.block("output", _whole["output"]),
                (columns.number("output_size"), columns.text("output_sha256"), columns.text("truncated")),
            ),
        ),
        (AUDIT, (columns.column("entries", lambda row: entries_table(str(row.pk))),)),
    )
    section_permissions: ClassVar = {AUDIT: VIEW}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<uuid:execution_id>/decide/", view, name="tools_toolexecution_decide"), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        # The form of a decision shows the params itself.
        is_repeated = _may_decide(request, obj)
        return [one for one in super().get_fieldsets(request, obj) if not (is_repeated and one[0] == ASKED)]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: ToolExecution = context["original"]
        if _may_decide(request, row):
            context |= {
                "decision_url": reverse("admin:tools_toolexecution_decide", args=[row.pk]),
                "tool": _tool(row),
                "params": _all_params(row),
                "params_sha256": row.params_sha256,
                "expires": cells.moment(row.expires),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def decide_view(self, request: HttpRequest, execution_id: UUID) -> HttpResponse:
        """Record an operator's decision. It is bound to the params that the page showed."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm(DECIDE):
            raise PermissionDenied
        verdict: decisions.Verdict = "approved" if request.POST.get("verdict") == "approved" else "denied"
        given = {"params_sha256": request.POST.get("params_sha256", ""), "note": request.POST.get("note", "")}
        try:
            with transaction.atomic():
                row = decisions.decide(execution_id, verdict, by=request.user.get_username(), **given)
        except decisions.DecisionRefused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"The execution of {_tool(row)} was {verdict}; its run continues.")
        return HttpResponseRedirect(reverse("admin:tools_toolexecution_change", args=[execution_id]))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolExecution]:
        return _beginnings(super().get_queryset(request))
