import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as some

from chat.engine.events import TotalUsage
from chat.models import Message, Run, Session
from chat.runs.log import usage_columns
from storage.ids import new_id
from storage.row_adapters import conversion
from storage.statements import Insert, Select, Update

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)
insert = Insert(Session, "id", "owner", "user", "title", "metadata", "active_run", "created", "updated")
say = Insert(
    Message,
    "session",
    "run",
    "role",
    "content",
    "attachments",
    "tool_calls",
    "call_id",
    "tool",
    "is_error",
    "provider_parts",
    "provider",
    "model",
    "created",
    "input_tokens",
    "output_tokens",
    "estimated",
)
TEXTS = some.text(some.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
NUMBERS = some.integers() | some.floats(allow_nan=False, allow_infinity=False)
VALUES = some.none() | some.booleans() | NUMBERS | TEXTS
insert_run = Insert(
    Run,
    "id",
    "session",
    "status",
    "reason",
    "error",
    "provider",
    "model",
    "process",
    "options",
    "metadata",
    "cost_usd",
    "estimated",
    "created",
)


def test_inserted_rows_equal_those_that_the_orm_reads() -> None:
    ids = [new_id(), uuid4()]
    with transaction.atomic():
        insert((number, "o", "u", "a % b ? 'c'", {"k": [1, "é"]}, None, NOW, NOW) for number in ids)
        insert_run(
            [(ids[0], ids[0], Run.Status.RUNNING, "", "", "p", "m", "x", {}, {}, Decimal("0.0000000001"), True, NOW)]
        )
    rows = {row.id: row for row in Session.objects.all()}
    assert set(rows) == set(ids)
    row = rows[ids[0]]
    assert (row.title, row.metadata, row.active_run, row.created) == ("a % b ? 'c'", {"k": [1, "é"]}, None, NOW)
    run = Run.objects.get()
    assert (run.session_id, run.status, run.cost_usd, run.estimated) == (
        ids[0],
        "running",
        Decimal("0.0000000001"),
        True,
    )


def test_update_changes_and_counts_the_matching_rows() -> None:
    key, active = new_id(), new_id()
    update = Update(Session, names=("active_run", "title"), where=("id", "active_run"))
    with transaction.atomic():
        insert([(key, "o", "", "", {}, active, NOW, NOW)])
        assert update((None, "x"), (key, uuid4())) == 0
        assert update((None, "x"), (key, active)) == 1
    assert Session.objects.get().title == "x"


def test_select_returns_the_newest_rows_up_to_its_limit() -> None:
    keys = [new_id() for _ in range(5)]
    with transaction.atomic():
        insert((key, "o", "", str(number), {"n": number}, None, NOW, NOW) for number, key in enumerate(keys))
    found = Select(Session, "title", "metadata", where="owner")("o", 3)
    newest = Session.objects.order_by("-id").values_list("title", flat=True)[:3]
    assert [title for title, _ in found] == list(newest)
    assert all(isinstance(metadata, str) for _, metadata in found)


def test_constraint_violation_is_an_integrity_error_of_django() -> None:
    key = new_id()
    with pytest.raises(IntegrityError), transaction.atomic():
        insert((key, "o", "", "", {}, None, NOW, NOW) for _ in range(2))


def test_ids_are_ordered_by_time() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {key.version for key in ids} == {7}
    milliseconds = [key.int >> 80 for key in ids]
    assert milliseconds == sorted(milliseconds)


def test_inserted_values_are_sanitized_for_their_columns() -> None:
    key = new_id()
    with transaction.atomic():
        insert([(key, "o" * 100, "\ud800", "a\x00b", {"a\x00": [float("nan"), "\ud800"]}, None, NOW, NOW)])
        insert_run([(key, key, "running", "", "", "p", "m", "x", {}, {}, None, False, NOW)])
        say([(key, key, "user", "x", 2**40, None, "", "", False, None, "p", "m", NOW, -1, 2**70, False)])
    row = Session.objects.get()
    assert (row.owner, row.user, row.title) == ("o" * 64, "\ufffd", "a\ufffdb")
    assert row.metadata == {"a\ufffd": [None, "\ufffd"]}
    message = Message.objects.get()
    assert (message.attachments, message.input_tokens, message.output_tokens) == (2**15 - 1, 0, 2**31 - 1)


@given(some.recursive(VALUES, lambda inner: some.lists(inner) | some.dictionaries(TEXTS, inner), max_leaves=6))
def test_document_is_read_as_it_was_written(value: Any) -> None:
    assert json.loads(conversion(Session._meta.get_field("metadata"))(value)) == value


@pytest.mark.parametrize("cost", [0.0, 1e-10, 0.1, 123456.789, 1e9, 1e40, float("inf")])
def test_every_cost_is_stored(cost: float) -> None:
    (*_, kept, _) = usage_columns.values(TotalUsage(cost_usd=cost))
    text = str(conversion(Run._meta.get_field("cost_usd"))(kept))
    assert float(text) == pytest.approx(min(cost, usage_columns.MAX_USD), abs=1e-10)
    assert len(text.replace(".", "")) <= 20
