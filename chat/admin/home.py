"""The console's home page: open runs, waiting calls, and the use, time and cost of models and tools."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from access.keys.names import Names
from chat.admin import annotations, fields
from chat.models import Run
from console import cells
from console.columns import Column
from console.html import charts
from console.html.charts import Bar
from spending import usage_report
from spending.usage_report import GroupBy, Span
from tools.admin.fields import waiting_table
from tools.models import ToolExecution

PERIODS: Final = (7, 14, 30, 90)
"""The days that the plots can show."""

DAYS: Final = 14
ROWS: Final = 20
"""Rows of each table of the page."""

FAILED: Final = (Run.Status.FAILED, Run.Status.INTERRUPTED)
VIEW_RUNS: Final = "chat.view_run"
VIEW_EXECUTIONS: Final = "tools.view_toolexecution"
VIEW_USAGE: Final = "spending.view_use"


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the page's head: its name, the figure as text, a second line, and the list behind it.

    `tone` is `attention` for a figure that an operator should look at.
    """

    name: str
    figure: str
    note: str = ""
    url: str = ""
    tone: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the page, with its title and the sentence that stands in place of an empty one."""

    title: str
    table: str
    empty: str


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the template. The parts that the user may not see are empty."""
    may = request.user.has_perm
    now = timezone.now()
    tiles: list[Tile] = []
    panels: list[Panel] = []
    if may(VIEW_RUNS):
        # Two queries, because each status has a partial index of its own.
        running = Run.objects.filter(status=Run.Status.RUNNING)
        waiting = Run.objects.filter(status=Run.Status.WAITING)
        is_open = f"{reverse('admin:chat_run_changelist')}?status__exact="
        note = f"{cells.number(waiting.count())} waiting"
        tiles.append(Tile(name="Runs now", figure=cells.number(running.count()), note=note, url=f"{is_open}running"))
        panels.append(_runs(request, "Runs now", [running, waiting], "Nothing runs."))
    if may(VIEW_EXECUTIONS):
        executions = reverse("admin:tools_toolexecution_changelist")
        for status, name in ((ToolExecution.WAITING[0], "Approvals"), (ToolExecution.WAITING[1], "Client tools")):
            count = ToolExecution.objects.filter(status=status).count()
            url = f"{executions}?status__exact={status}"
            tone = "attention" if count else ""
            tiles.append(Tile(name=f"{name} waiting", figure=cells.number(count), url=url, tone=tone))
            # Most services have no client tools: a panel that is always empty would only take room.
            if count or status == ToolExecution.Status.AWAITING_APPROVAL:
                table = waiting_table(status, ROWS, request.user) if count else ""
                panels.append(Panel(title=f"{name} waiting", table=table, empty="Nothing waits for a decision."))
    if may(VIEW_RUNS):
        # The day of the table `usage`, with which the figure stands in one row.
        midnight = datetime.combine(now.date(), datetime.min.time(), UTC)
        failures = Run.objects.filter(created__gte=midnight, status__in=FAILED)
        count = failures.count()
        # The list behind the figure has the same rows, which the choices of its filters could not name.
        same = {"status__in": ",".join(FAILED), "created__gte": midnight.isoformat()}
        url = reverse("admin:chat_run_changelist", query=same)
        tone = "attention" if count else ""
        tiles.append(Tile(name="Failed runs today", figure=cells.number(count), url=url, tone=tone))
        if count:
            panels.append(_runs(request, "Failed runs today", [failures], ""))
    days = int(asked) if (asked := request.GET.get("days", "")) in map(str, PERIODS) else DAYS
    usage = _Usage(now.date(), days) if may(VIEW_USAGE) else None
    return {
        "tiles": [*tiles, *(usage.tiles() if usage else ())],
        "panels": panels,
        "charts": usage.charts() if usage else (),
        "breakdowns": usage.breakdowns() if usage else (),
        "days": days,
        "periods": PERIODS,
    }


def _runs(request: HttpRequest, title: str, each: Sequence[QuerySet[Run]], empty: str) -> Panel:
    found: list[Any] = [
        run for rows in each for run in annotations.with_session_title(rows.order_by("-created"))[:ROWS]
    ]
    names = Names((run.owner for run in found), request.user)
    shown: tuple[Column, ...] = (fields.time, fields.run_link, fields.run_status, fields.session_title)
    rows = [
        (
            *(column(run) for column in shown),
            names.link(run.owner),
            cells.short(run.model),
            fields.took(run),
            fields.cost(run),
            fields.run_error(run),
        )
        for run in found[:ROWS]
    ]
    head = ("Time", "Run", "Status", "Session", "Owner", "Model", "Took", "Cost", "Error")
    return Panel(title=title, table=cells.table(head, rows) if rows else "", empty=empty)


class _Usage:
    """The usage of the last days, in UTC: the days of the table `usage`."""

    def __init__(self, today: date, days: int) -> None:
        self._today = today
        self._span = Span(since=today - timedelta(days=days - 1))
        self._days = [today - timedelta(days=before) for before in reversed(range(days))]
        self._models = usage_report.by_day("model", self._span)
        self._tools = usage_report.by_day("tool", self._span)

    def tiles(self) -> list[Tile]:
        today, before = (self._models.get(self._today - timedelta(days=back), {}) for back in (0, 1))
        spend = [f"${each.get('cost_usd', 0):,.2f}" for each in (today, before)]
        tokens = [cells.number(each.get("input_tokens", 0) + each.get("output_tokens", 0)) for each in (today, before)]
        url = reverse("admin:spending_use_changelist")
        return [
            Tile(name="Spend today", figure=spend[0], note=f"yesterday {spend[1]}", url=url),
            Tile(name="Tokens today", figure=tokens[0], note=f"yesterday {tokens[1]}", url=url),
        ]

    def charts(self) -> list[str]:
        models, tools = self._models, self._tools
        spend = {day: row["cost_usd"] for day, row in models.items()}
        tokens = {day: row["input_tokens"] + row["output_tokens"] for day, row in models.items()}
        first = {day: _mean(row, "first_token_milliseconds", "first_tokens") for day, row in models.items()}
        turn = {day: _mean(row, "run_milliseconds", "runs") for day, row in models.items()}
        failed = {day: row["failed"] for day, row in tools.items()}
        calls = sum(row["calls"] for row in tools.values())
        share = f"{100 * sum(failed.values()) / calls:.1f} % of {calls:,} calls" if calls else "no calls"
        total = sum(tokens.values())
        return [
            charts.bars("Spend", f"${sum(spend.values()):,.2f}", self._bars(spend, lambda usd: f"${usd:,.4f}")),
            charts.bars("Tokens", f"{total:,}", self._bars(tokens, lambda count: f"{count:,.0f}")),
            charts.bars("Time to first token", _average(models, "first_token_milliseconds", "first_tokens"),
                        self._bars(first, cells.duration)),
            charts.bars("Time of a run", _average(models, "run_milliseconds", "runs"),
                        self._bars(turn, cells.duration)),
            charts.bars("Failed tool calls", share, self._bars(failed, lambda count: f"{count:,.0f}")),
        ]  # fmt: skip

    def breakdowns(self) -> list[Panel]:
        return [self._breakdown("model"), self._breakdown("key"), self._breakdown("tool")]

    def _breakdown(self, by: GroupBy) -> Panel:
        found = usage_report.usage(by, None, self._span)["items"]
        title = f"By {by}, last {len(self._days)} days"
        amount = "calls" if by == "tool" else "cost_usd"
        rows = sorted(found, key=lambda row: row[amount], reverse=True)[:ROWS]
        most = rows[0][amount] if rows else 0
        head: tuple[str, ...]
        lines: list[tuple[object, ...]]
        if by == "tool":
            head = ("Tool", "Calls", "Share", "Failed", "Time of a call")
            lines = [
                (row["tool"], cells.number(row["calls"]), charts.share(row["calls"], most),
                 cells.number(row["failed"]), cells.duration(_mean(row, "milliseconds", "calls")))
                for row in rows
            ]  # fmt: skip
        else:
            head = (by.capitalize(), "Spend", "Share", "Tokens", "First token", "Time of a run")
            lines = [
                (cells.short(row["name"] if by == "key" else row["model"]), f"${row['cost_usd']:,.4f}",
                 charts.share(row["cost_usd"], most), cells.number(row["input_tokens"] + row["output_tokens"]),
                 cells.duration(_mean(row, "first_token_milliseconds", "first_tokens")),
                 cells.duration(_mean(row, "run_milliseconds", "runs")))
                for row in rows
            ]  # fmt: skip
        return Panel(title=title, table=cells.table(head, lines) if lines else "", empty="Nothing was used.")

    def _bars(self, values: dict[date, Any], show: Any) -> list[Bar]:
        return [
            Bar(f"{day:%b %d}", value, "no figure" if value is None else show(value))
            for day, value in ((day, values.get(day)) for day in self._days)
        ]


def _mean(row: dict[str, Any], total: str, count: str) -> float | None:
    return row[total] / row[count] if row[count] else None


def _average(rows: dict[date, dict[str, Any]], total: str, count: str) -> str:
    sums = {name: sum(row[name] for row in rows.values()) for name in (total, count)}
    return f"{cells.duration(_mean(sums, total, count))} on average" if sums[count] else "no runs"
