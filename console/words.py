"""The lookup of a search: `<field>__words`, which ignores the case of ASCII letters in both databases."""

from typing import Any

from django.db.models import CharField, JSONField, TextField
from django.db.models.lookups import IContains


class Words(IContains):
    """True if the column contains the text."""

    lookup_name = "words"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return str(connection.operators["icontains"] % rhs)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        # Django compares UPPER of both sides, which takes twice as long: it converts each character by the locale.
        column, params = self.process_lhs(compiler, connection)
        pattern, given = self.process_rhs(compiler, connection)
        return f'{column}::text ILIKE {pattern} COLLATE "C"', [*params, *given]


for field in (CharField, TextField, JSONField):
    field.register_lookup(Words)
