"""The audit console's pages of tool executions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Substr
from django.http import HttpRequest

from tools.audit import cells, columns
from tools.audit.console import ROWS, AuditAdmin
from tools.audit.filters import BelongsToFilter, DayFilter, RecentValueFilter
from tools.models import ToolExecution


def _beginnings(queryset: QuerySet[ToolExecution]) -> QuerySet[ToolExecution]:
    """Without the long columns, whose beginnings are enough for a list."""
    return queryset.defer("params", "data", "error").annotate(
        params_start=Substr(Cast("params", TextField()), 1, cells.PREFIX),
        data_start=Substr(Cast("data", TextField()), 1, cells.PREFIX),
        error_start=Substr("error", 1, cells.PREFIX),
    )


def _outcome(row: Any) -> str:
    return cells.short(row.error_start) if row.error_start else cells.short_json(row.data_start)


_status = columns.status()
_time = columns.moment("created", "time", sortable=True)
_tool = columns.text("tool")
_params = columns.column("params", lambda row: cells.short_json(row.params_start))
_result = columns.column("outcome", _outcome)
_took = columns.column("took", lambda row: cells.duration(row.duration_ms))
_whole = {"params": columns.json_of("params"), "data": columns.json_of("data"), "error": lambda row: row.error}


def executions_table(**of: object) -> str:
    """The newest executions that have these values, for another row's page, the oldest of them first."""
    found = ToolExecution.objects.filter(**of)
    newest = _beginnings(found.order_by("-created"))[:ROWS]
    rows = [
        (
            _time(row),
            cells.link("tools_toolexecution", row.pk, _tool(row)),
            *(_status(row), cells.short(row.source), _params(row), _result(row), _took(row)),
        )
        for row in reversed(newest)
    ]
    shown = cells.table(("Time", "Tool", "Status", "Asked by", "Params", "Outcome", "Took"), rows)
    return cells.with_rest(shown, "tools_toolexecution", len(rows), found.count(), of)


@admin.register(ToolExecution)
class ToolExecutionAdmin(AuditAdmin):
    """What tools were asked to do, by whom, and what came of it."""

    ordering = ("-created",)
    list_display = (
        *(_time, _tool, _status, columns.text("source", "asked by"), _params, _result, _took),
        *(columns.link("session", "chat_session", "session_id"), columns.link("run", "chat_run", "run_id")),
    )
    list_display_links = (_tool,)
    sortable_by = (_time,)
    list_filter: ClassVar = [
        ("created", DayFilter),
        "status",
        *((field, RecentValueFilter) for field in ("tool", "source", "code")),
        *((field, BelongsToFilter) for field in ("session_id", "run_id")),
    ]
    search_fields = ("id__endswith", "tool", "params", "error", "call_id")
    search_help_text = "Words of the tool's name, params or error; or the id of an execution, a session or a run."
    uuid_fields = ("id", "session_id", "run_id")
    long_fields = _whole
    sections = (
        (
            None,
            (
                *(columns.whole_link("id", "tools_toolexecution", "id"), _tool, _status),
                *(columns.text("source", "asked by"), columns.text("owner"), columns.text("call_id")),
                columns.whole_link("session", "chat_session", "session_id"),
                columns.whole_link("run", "chat_run", "run_id"),
            ),
        ),
        ("Time", ((columns.exact_moment("created"), columns.exact_moment("ended"), _took),)),
        ("Asked for", (columns.block("params", _whole["params"]), columns.text("params_sha256"))),
        (
            "Outcome",
            (
                columns.text("code"),
                columns.block("error", _whole["error"]),
                columns.block("data", _whole["data"]),
            ),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolExecution]:
        return _beginnings(super().get_queryset(request))
