"""Batched statements of a transaction, sent before any statement that could see their absence."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from chat.models import Session
from storage import statement_batch
from storage.ids import new_id
from storage.statements import Exists, Insert, Locked, Select, Update
from storage.writer import writer

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
insert = Insert(Session, "id", "owner", "user", "title", "metadata", "active_run", "created", "updated")
rename = Update(Session, names=("title",), where=("id",))
newest = Select(Session, "title", where="owner")
owned = Locked(Session, "owner")
any_session = Exists(lambda: Session.objects.filter(owner="o"))

pytestmark = pytest.mark.django_db(transaction=True)


def row(key: UUID, title: str = "") -> tuple[object, ...]:
    return (key, "o", "", title, {}, None, NOW, NOW)


@pytest.mark.parametrize(
    "sees",
    [
        lambda key: Session.objects.filter(id=key).exists(),
        lambda key: newest("o", 1) == [("first",)],
        lambda key: owned([key], "o") == {key},
        lambda key: any_session(),
        lambda key: rename(("second",), (key,)) == 1,
        lambda key: Session.objects.filter(id=key).update(title="second") == 1,
        lambda key: bool(connection.cursor().execute("SELECT 1 FROM sessions").fetchall()),
    ],
)
def test_next_query_sees_the_batched_rows(sees: object) -> None:
    key = new_id()
    with transaction.atomic(), statement_batch.collected():
        insert([row(key, "first")])
        assert sees(key)


def test_equal_statements_of_many_jobs_are_sent_once() -> None:
    sent: list[int] = []
    real = statement_batch.execute

    def counted(statement: str, rows: object) -> object:
        sent.append(len(rows))
        return real(statement, rows)

    keys = [new_id() for _ in range(5)]
    with pytest.MonkeyPatch.context() as patch, transaction.atomic(), statement_batch.collected():
        patch.setattr(statement_batch, "execute", counted)
        for key in keys:
            insert([row(key)])
            rename.later(("new",), (key,))
        assert sent == []
        statement_batch.flush()
        assert sent == [5, 5]
    assert set(Session.objects.values_list("title", flat=True)) == {"new"}


def test_batched_rows_are_rolled_back_with_their_savepoint() -> None:
    kept, gone = new_id(), new_id()
    with transaction.atomic(), statement_batch.collected():
        insert([row(kept)])
        with suppress(RuntimeError), transaction.atomic():
            insert([row(gone)])
            raise RuntimeError
    assert set(Session.objects.values_list("id", flat=True)) == {kept}


def test_failed_transaction_leaves_nothing_batched() -> None:
    with suppress(RuntimeError), transaction.atomic(), statement_batch.collected():
        insert([row(new_id())])
        raise RuntimeError
    with transaction.atomic(), statement_batch.collected(), CaptureQueriesContext(connection) as queries:
        Session.objects.exists()
    assert len(queries) == 1
    assert not Session.objects.exists()


async def test_invalid_row_fails_only_its_own_job() -> None:
    """Fail only the row's own job, however many jobs were committed with it."""
    key = new_id()
    await writer.write(lambda: insert([row(key)]))
    others = [new_id() for _ in range(20)]
    jobs = [lambda key=key: insert([row(key)]) for key in (*others[:10], key, *others[10:])]
    outcomes = await asyncio.gather(*map(writer.write, jobs), return_exceptions=True)
    assert [isinstance(outcome, IntegrityError) for outcome in outcomes] == [False] * 10 + [True] + [False] * 10
    stored = await writer.write(lambda: set(Session.objects.values_list("id", flat=True)))
    assert stored == {key, *others}
