"""Random changes of a database behind the back of the service."""

import json
import random
import sys
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import (
    BinaryField,
    BooleanField,
    DateTimeField,
    Field,
    FloatField,
    IntegerField,
    JSONField,
    Model,
    UUIDField,
)

from access.models import ApiKey
from audit import chain
from audit.models import AuditEntry
from audit.verification import SavedHead
from tests.audit.history import make_history, problem, verified
from tools.models import ToolExecution

COLUMNS: Final[dict[type[Model], tuple[str, ...]]] = {
    ToolExecution: tuple(str(field.column) for field in ToolExecution._meta.concrete_fields),
    ApiKey: tuple(str(field.column) for field in ApiKey._meta.concrete_fields if field.name != "last_used"),
    User: ("username", "is_active", "is_staff", "is_superuser"),
    Group: ("name",),
    AuditEntry: tuple(str(field.column) for field in AuditEntry._meta.concrete_fields),
}
"""The columns that the chain covers, and those of the chain itself."""


def execute(statement: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def tampered(chance: random.Random) -> str:
    """Change one thing, and return what. The caller rolls it back."""
    ways: list[Callable[[random.Random], str]] = [
        change_column, change_column, change_column, delete_record, insert_record, swap_records, delete_entry,
        insert_entry, swap_entries, unlink,
    ]  # fmt: skip
    return chance.choice(ways)(chance)


def change_column(chance: random.Random) -> str:
    model = chance.choice(list(COLUMNS))
    column = chance.choice(COLUMNS[model])
    table, key = model._meta.db_table, str(model._meta.pk.column)
    field: Any = next(field for field in model._meta.concrete_fields if field.column == column)
    row = chance.choice(execute(f'SELECT "{key}", "{column}" FROM "{table}"'))
    value = another(field, row[1], chance)
    execute(f'UPDATE "{table}" SET "{column}" = %s WHERE "{key}" = %s', value, row[0])
    return f"{table}.{column} of {row[0]}: {row[1]!r:.40} -> {value!r:.40}"


def another(field: Any, old: Any, chance: random.Random) -> Any:
    """Return another value of a column."""
    if old is not None and field.null and chance.random() < 0.3:
        return None
    while True:
        new = _random_value(field, old, chance)
        if new != (bytes(old) if isinstance(old, memoryview) else old):
            return new


def _random_value(field: Any, old: Any, chance: random.Random) -> Any:
    kind = field.target_field if field.is_relation else field
    if isinstance(kind, JSONField):
        new = chance.choice([{}, [], {"a": chance.random()}, "text", 1, None, [1, 2], {"path": "other.txt"}])
        old = json.loads(old) if isinstance(old, str) else old
        return _random_value(field, old, chance) if new == old else json.dumps(new)
    random_values: dict[type[Any], Callable[[], Any]] = {
        BinaryField: lambda: chance.randbytes(chance.choice([0, 16, 32])),
        UUIDField: lambda: uuid4() if connection.vendor == "postgresql" else uuid4().hex,
        BooleanField: lambda: not old,
        DateTimeField: lambda: f"2030-01-{chance.randint(1, 28):02} 10:11:12.{chance.randrange(10**6):06}",
        FloatField: chance.random,
        IntegerField: lambda: chance.randrange(10**6),
        Field: lambda: "".join(chance.choices("abcdef", k=chance.randint(0, min(field.max_length or 40, 12)))),
    }
    return next(make() for type_, make in random_values.items() if isinstance(kind, type_))


def _record(chance: random.Random) -> tuple[str, str, Any]:
    model = chance.choice([model for model in COLUMNS if model is not AuditEntry])
    table, key = model._meta.db_table, str(model._meta.pk.column)
    return table, key, chance.choice(execute(f'SELECT "{key}" FROM "{table}"'))[0]


def delete_record(chance: random.Random) -> str:
    table, key, row = _record(chance)
    execute(f'DELETE FROM "{table}" WHERE "{key}" = %s', row)
    return f"DELETE {table} {row}"


def insert_record(chance: random.Random) -> str:
    """Insert a copy of a row."""
    model = chance.choice([model for model in COLUMNS if model is not AuditEntry])
    row: Any = chance.choice(list(model._default_manager.all()))
    row.pk = uuid4() if isinstance(model._meta.pk, UUIDField) else 10**6
    for name in ("name", "username", "sha256", "revoked"):
        if hasattr(row, name):
            setattr(row, name, uuid4().hex if name != "revoked" else row.revoked)
    model._default_manager.bulk_create([row])
    return f"INSERT {model._meta.db_table} {row.pk}"


def swap_records(chance: random.Random) -> str:
    """Swap a column of two executions in which it differs."""
    while True:
        column = chance.choice(COLUMNS[ToolExecution])
        rows = execute(f'SELECT id, "{column}" FROM tool_executions')
        one, other = chance.sample(rows, 2)
        # The same JSON can be written with other spaces.
        if column != "id" and plain(column, one[1]) != plain(column, other[1]):
            for row, value in ((one, other[1]), (other, one[1])):
                execute(f'UPDATE tool_executions SET "{column}" = %s WHERE id = %s', value, row[0])
            return f"swap tool_executions.{column} of {one[0]} and {other[0]}"


def plain(column: str, value: Any) -> Any:
    return json.loads(value) if column in {"params", "data"} and isinstance(value, str) else value


def delete_entry(chance: random.Random) -> str:
    """Delete some entries in a row."""
    last = AuditEntry.objects.count()
    first = chance.randint(1, last)
    count = chance.randint(1, 3)
    execute("DELETE FROM audit_entries WHERE number >= %s AND number < %s", first, first + count)
    if chance.random() < 0.5:
        # Numbers can be closed up, but the hashes cannot.
        for number in range(first + count, last + 1):
            execute("UPDATE audit_entries SET number = %s WHERE number = %s", number - count, number)
    return f"DELETE entries {first}-{first + count - 1}"


def insert_entry(chance: random.Random) -> str:
    """Insert a copy of an entry at some place."""
    last = AuditEntry.objects.count()
    place, row = chance.randint(1, last + 1), AuditEntry.objects.get(number=chance.randint(1, last))
    for number in range(last, place - 1, -1):
        execute("UPDATE audit_entries SET number = %s WHERE number = %s", number + 1, number)
    row.number = place
    row.save(force_insert=True)
    return f"INSERT entry {place}"


def swap_entries(chance: random.Random) -> str:
    one, other = chance.sample(range(1, AuditEntry.objects.count() + 1), 2)
    for number, new in ((one, -1), (other, one), (-1, other)):
        execute("UPDATE audit_entries SET number = %s WHERE number = %s", new, number)
    return f"swap entries {one} and {other}"


def unlink(chance: random.Random) -> str:
    """Add or remove the membership of a user in a group."""
    if chance.random() < 0.5:
        execute("DELETE FROM auth_user_groups")
        return "DELETE auth_user_groups"
    bob, viewer = User.objects.get(username="bob").pk, Group.objects.get(name="readers").pk
    execute("INSERT INTO auth_user_groups (user_id, group_id) VALUES (%s, %s)", bob, viewer)
    return "INSERT auth_user_groups"


def unnoticed(seed: int, times: int) -> list[str]:
    """Tamper so many times, each time with the same history, and return what the verification does not find."""
    chance = random.Random(seed)
    head = chain.head()
    saved = SavedHead(number=head.number, hash=head.hash)
    missed = []
    for _ in range(times):
        with transaction.atomic():
            what = tampered(chance)
            if verified(saved=saved).problem is None:
                missed.append(what)
            transaction.set_rollback(True)
    return missed


def main() -> None:
    """Make a history in the database of `DATABASE_URL`, tamper, and print what was not found, as JSON."""
    seed, times = map(int, sys.argv[1:])
    make_history()
    before = problem()
    print(json.dumps({"before": before, "missed": unnoticed(seed, times), "after": problem()}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
