"""The columns and tables of tool executions."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Substr
from django.urls import reverse

from access.keys.names import Names
from console import cells, columns
from console.html.params import params as params_html
from console.pages import ROWS
from tools.execution.taint import described
from tools.models import ToolExecution

time = columns.moment("created", "time", sortable=True)
tool = columns.text("tool")
status = columns.status()
params = columns.column("params", lambda row: cells.short_json(row.params_start))
result = columns.column(
    "outcome", lambda row: cells.short(row.error_start) if row.error_start else cells.short_json(row.data_start)
)
taint = columns.column("texts from outside", lambda row: described(row.taint))
took = columns.column("took", lambda row: cells.duration(row.duration_ms))


def beginnings(queryset: QuerySet[ToolExecution]) -> QuerySet[ToolExecution]:
    """Load only the beginnings of the long columns."""
    # A list shows one line of each: whole columns would be megabytes a page.
    return queryset.defer("params", "data", "error", "output").annotate(
        params_start=Substr(Cast("params", TextField()), 1, cells.PREFIX),
        data_start=Substr(Cast("data", TextField()), 1, cells.PREFIX),
        error_start=Substr("error", 1, cells.PREFIX),
    )


def values_of(field: str, most: int = cells.LONG) -> Callable[[Any], str]:
    """Return a function that shows each value of a JSON field by its name, and cuts texts at `most` characters."""

    def shown(row: ToolExecution) -> str:
        # Before a decision, nothing that it is about may be missing.
        url = "" if row.awaits_decision else reverse("admin:tools_toolexecution_whole", args=[row.pk, field])
        return params_html(getattr(row, field), url, most)

    return shown


def executions_table(**of: object) -> str:
    """Return a table of the newest executions with these column values, for another row's page, oldest first."""
    found = ToolExecution.objects.filter(**of)
    newest = beginnings(found.order_by("-created"))[:ROWS]
    rows = [
        (
            time(row),
            cells.link("tools_toolexecution", row.pk, tool(row)),
            status(row),
            cells.short(row.source),
            params(row),
            result(row),
            took(row),
        )
        for row in reversed(newest)
    ]
    shown = cells.table(("Time", "Tool", "Status", "Asked by", "Params", "Outcome", "Took"), rows)
    return cells.with_rest(shown, "tools_toolexecution", len(rows), found.count(), of)


def waiting_table(kind: ToolExecution.Status, most: int, reader: Any) -> str:
    """Return a table of the executions that wait for a decision or for a client, the first to expire at the top.

    The user `reader` gets links to the pages of owners that they may see.
    """
    # Those that wait are few, and have an index by their status.
    found = list(beginnings(ToolExecution.objects.filter(status=kind, decision="").order_by("-created"))[:most])
    names = Names((row.owner for row in found), reader)
    rows = [
        (
            cells.link("tools_toolexecution", row.pk, tool(row)),
            params(row),
            names.link(row.owner),
            cells.moment(row.created),
            cells.moment(row.expires),
            cells.link("chat_run", row.run_id),
        )
        for row in sorted(found, key=lambda row: (row.expires is None, row.expires))
    ]
    return cells.table(("Tool", "Params", "Owner", "Asked", "Expires", "Run"), rows)
