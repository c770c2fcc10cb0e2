"""Columns of the admin's lists and fields of its pages: functions that format a row."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.urls import reverse

from console import cells

Column = Callable[[Any], str]


def column(title: str, show: Column, *, order: str | None = None) -> Column:
    """Return a column with this title. With `order` the list can be sorted by that field, which then needs an index."""

    # A function of its own for each column: Django stores title and order on it, and identifies it by its name.
    def shown(row: Any) -> str:
        return show(row)

    shown.__name__ = title.replace(" ", "_")
    return admin.display(description=title, ordering=order)(shown)


def text(field: str, title: str = "") -> Column:
    """Return a column with a short text of a caller or model."""
    return column(title or _title(field), lambda row: cells.short(getattr(row, field)))


def number(field: str, title: str = "") -> Column:
    return column(title or _title(field), lambda row: cells.number(getattr(row, field)))


def moment(field: str, title: str = "", *, sortable: bool = False) -> Column:
    """Return a column with a time, to the second."""
    return column(
        title or _title(field), lambda row: cells.moment(getattr(row, field)), order=field if sortable else None
    )


def exact_moment(field: str) -> Column:
    return column(_title(field), lambda row: cells.exact_moment(getattr(row, field)))


def status() -> Column:
    return column("status", lambda row: cells.status(row.status, row.get_status_display()))


def link(title: str, name: str, field: str) -> Column:
    """Return a column with a link to the row that `field` names, shown by the end of its key."""
    return column(title, lambda row: cells.link(name, getattr(row, field)))


def whole_link(title: str, name: str, field: str) -> Column:
    """Return a column with a link shown by the whole key."""
    return column(title, lambda row: cells.link(name, getattr(row, field), str(getattr(row, field))))


def block(field: str, whole: Callable[[Any], str], title: str = "") -> Column:
    """Return a field with a long text, shortened, and a link to the whole; the admin's `long_fields` name it too."""

    def show(row: Any) -> str:
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_whole", args=[row.pk, field])
        return cells.block(whole(row), url)

    return column(title or _title(field), show)


def json_of(field: str) -> Callable[[Any], str]:
    """Return a function from a row to a JSON field as readable text; empty if the field is empty."""

    def whole(row: Any) -> str:
        value = getattr(row, field)
        return "" if value in (None, {}, []) else cells.pretty(value)

    return whole


def _title(field: str) -> str:
    return field.replace("_", " ")
