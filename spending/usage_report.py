"""Sums of usage: sync functions that only read."""

from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, get_args

import msgspec
from django.db.models import QuerySet, Sum

from access.caller import OPERATOR
from access.limits.budgets import NANO
from access.models import ApiKey
from spending.models import Use

GroupBy = Literal["day", "key", "model", "tool"]
GROUPS: Final[tuple[GroupBy, ...]] = get_args(GroupBy)

MAX_GROUPS: Final = 1_000
"""Groups of one report. The largest come first, or the newest days."""

FIELDS: Final[dict[GroupBy, tuple[str, ...]]] = {
    "day": ("day",),
    "key": ("owner", "key"),
    "model": ("provider", "model"),
    "tool": ("tool",),
}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The days of a report (UTC), both included; None leaves an end open."""

    since: date | None = None
    until: date | None = None


def usage(group_by: GroupBy, owner: str | None, span: Span) -> dict[str, Any]:
    """Return calls, tokens and cost of each group and in total, of one owner or of all."""
    rows = _rows(group_by, owner, span)
    fields = FIELDS[group_by]
    order = ["-day"] if group_by == "day" else ["-all_cost", "-all_calls", *fields]
    sums = {f"all_{name}": Sum(name) for name in Use.SUMS}
    found = rows.order_by().values(*fields).annotate(**sums).order_by(*order)[:MAX_GROUPS]
    items = [{**{name: row[name] for name in fields}, **_sums(row)} for row in found]
    if group_by == "key":
        # `operator` is not a key, and is shown by its own name.
        keys = [item["key"] for item in items if item["key"] != OPERATOR]
        names = {str(key): name for key, name in ApiKey.objects.filter(id__in=keys).values_list("id", "name")}
        items = [{**item, "name": names.get(item["key"], item["key"])} for item in items]
    return {"items": items, "count": len(items), "total": _sums(rows.aggregate(**sums))}


def by_day(kind: Literal["model", "tool"], span: Span) -> dict[date, dict[str, Any]]:
    """Return the sums of all models, or of all tools, of each day that has any."""
    sums = {f"all_{name}": Sum(name) for name in Use.SUMS}
    found: QuerySet[Any, Any] = _rows(kind, None, span).order_by().values("day").annotate(**sums)
    return {row["day"]: _sums(row) for row in found}


def cost_of(nanos: int) -> Decimal:
    """USD."""
    return Decimal(nanos) / NANO


def _rows(group_by: GroupBy, owner: str | None, span: Span) -> QuerySet[Use]:
    # A row is of a model or of a tool: the calls of tools would otherwise count among those of models.
    rows = Use.objects.exclude(tool="") if group_by == "tool" else Use.objects.filter(tool="")
    if owner is not None:
        rows = rows.filter(owner=owner)
    if span.since is not None:
        rows = rows.filter(day__gte=span.since)
    return rows if span.until is None else rows.filter(day__lte=span.until)


def _sums(row: dict[str, Any]) -> dict[str, Any]:
    # The cost is of the calls whose price is known: `unpriced` counts the others.
    sums = {name: row[f"all_{name}"] or 0 for name in Use.SUMS}
    return {**sums, "cost_usd": float(cost_of(sums.pop("cost")))}
