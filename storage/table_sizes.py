"""Sizes of the tables on disk, with their indexes."""

from typing import Any

import msgspec
from django.apps import apps
from django.db import connection
from django.db.models import Max, Min, Model


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One table; `oldest` and `newest` are creation times of its rows, if they have any."""

    table: str
    rows: int
    bytes: int
    oldest: Any
    newest: Any


def sizes() -> list[Size]:
    """Return the sizes of all tables, the largest first. Raises `DatabaseError`."""
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    return sorted(map(_size, models), key=lambda size: -size.bytes)


def total() -> int:
    """Return the bytes of the whole database: on SQLite of its file, without the log."""
    if connection.vendor == "sqlite":
        return int(_one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    return int(_one("SELECT pg_database_size(current_database())"))


def _size(model: type[Model]) -> Size:
    rows = model._default_manager.order_by()
    table = model._meta.db_table
    if connection.vendor == "sqlite":
        # `dbstat` counts pages for each b-tree, so the indexes of the table are added.
        trees = "SELECT name FROM sqlite_master WHERE tbl_name = %s"
        used = int(_one(f"SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN ({trees})", table))  # noqa: S608 - constants
    else:
        used = int(_one("SELECT pg_total_relation_size(%s::regclass)", table))
    made = any(field.name == "created" for field in model._meta.get_fields())
    ends = rows.aggregate(oldest=Min("created"), newest=Max("created")) if made else {"oldest": None, "newest": None}
    return Size(table=table, rows=rows.count(), bytes=used, **ends)


def _one(statement: str, *values: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone()[0]
