"""The tables to copy, sorted so that each comes after those that it refers to."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final, cast

import msgspec
from django.apps import apps
from django.db.models import ForeignKey, JSONField, Model

LEFT_OUT: Final = frozenset({"django_session"})
"""The sessions of the console: users log in again."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column; `refers_to_itself` if it names another row of its own table."""

    name: str
    field: Any
    is_document: bool
    refers_to_itself: bool


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table, whose rows are identified and sorted by the column `key`."""

    name: str
    model: Any
    key: str
    columns: tuple[Column, ...]

    @property
    def late(self) -> tuple[Column, ...]:
        """The columns that are filled after all rows are copied."""
        # A row may name one that is copied later, which its foreign key would reject.
        return tuple(column for column in self.columns if column.refers_to_itself)


def tables() -> list[Table]:
    """Return the tables of all installed apps, except those that are left out."""
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.db_table not in LEFT_OUT
    ]
    order = TopologicalSorter(
        {model: sorted(_parents(model, models), key=_name) for model in sorted(models, key=_name)}
    )
    return [
        Table(
            name=model._meta.db_table,
            model=model,
            key=str(model._meta.pk.column),
            columns=tuple(
                Column(
                    name=str(field.column),
                    field=field,
                    is_document=isinstance(field, JSONField),
                    refers_to_itself=isinstance(field, ForeignKey) and field.related_model is model,
                )
                for field in model._meta.local_concrete_fields
            ),
        )
        for model in order.static_order()
    ]


def _parents(model: type[Model], models: Sequence[type[Model]]) -> Iterable[type[Model]]:
    for field in model._meta.local_concrete_fields:
        parent = field.related_model if isinstance(field, ForeignKey) else None
        if parent is not model and parent in models:
            yield cast("type[Model]", parent)


def _name(model: type[Model]) -> str:
    return model._meta.db_table
