from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tools.models import ToolExecution
from web import pages

pytestmark = pytest.mark.django_db


def make(number: int, owner: str = "alice") -> None:
    now = datetime.now(UTC)
    ToolExecution.objects.bulk_create(
        ToolExecution(id=uuid4(), owner=owner, tool="fs.read", params={}, created=now) for _ in range(number)
    )


def test_count_of_a_long_list_is_bounded_and_always_larger_than_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_COUNTED", 4)
    make(9)
    rows = ToolExecution.objects.order_by("-created")
    read, offset, count = 0, 0, 1
    while offset < count:
        found, count = pages.page(rows, 2, offset)
        read, offset = read + len(found), offset + 2
    assert (read, count) == (9, 9)
    assert pages.page(rows, 2, 0)[1] == 5
    assert pages.page(rows, 2, 100) == ([], 5)
    assert pages.page(rows.filter(owner="bob"), 2, 0) == ([], 0)


@pytest.mark.sqlite
def test_list_of_an_owner_is_read_and_counted_by_an_index() -> None:
    with CaptureQueriesContext(connection) as queries:
        pages.page(ToolExecution.objects.filter(owner="alice", status="failed").order_by("-created"), 50, 0)
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert "SCAN tool_executions" not in plan
            assert "TEMP B-TREE" not in plan
