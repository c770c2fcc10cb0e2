"""How large the tables are on the disk, indexes included."""

from typing import Any

import msgspec
from django.apps import apps
from django.db import connection
from django.db.models import Max, Min, Model


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One table; `oldest` and `newest` are when its rows were made, where they say so."""

    table: str
    rows: int
    bytes: int
    oldest: Any
    newest: Any


def sizes() -> list[Size]:
    """Of all tables, the largest first. Raises Django's `DatabaseError`."""
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    return sorted(map(_size, models), key=lambda size: -size.bytes)


def total() -> int:
    """Bytes of the whole database: on SQLite of its file, without the log that is not yet a part of it."""
    if connection.vendor == "sqlite":
        return int(_one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    return int(_one("SELECT pg_database_size(current_database())"))


def _size(model: type[Model]) -> Size:
    rows = model._default_manager.order_by()
    made = any(field.name == "created" for field in model._meta.get_fields())
    ends = rows.aggregate(oldest=Min("created"), newest=Max("created")) if made else {"oldest": None, "newest": None}
    return Size(table=model._meta.db_table, rows=rows.count(), bytes=_bytes(model._meta.db_table), **ends)


def _bytes(table: str) -> int:
    if connection.vendor == "sqlite":
        of_table = "SELECT name FROM sqlite_master WHERE tbl_name = %s"
        return int(_one(f"SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN ({of_table})", table))  # noqa: S608 - constants
    return int(_one("SELECT pg_total_relation_size(%s::regclass)", table))


def _one(statement: str, *values: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone()[0]
