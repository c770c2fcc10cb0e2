"""Pages of a list of rows."""

from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

MAX_COUNTED: Final = 10_000
"""Rows that are counted exactly. A count of a whole table reads all of it."""


def page(rows: QuerySet[Row], limit: int, offset: int) -> tuple[list[Row], int]:
    """Return a page, and the number of rows: above `MAX_COUNTED`, more than `offset + limit` as long as more follow."""
    found: list[Any] = list(rows[offset : offset + limit + 1])
    counted = rows.order_by()[: MAX_COUNTED + 1].count()
    reached = offset + len(found) if found else 0
    return found[:limit], max(counted, reached)
