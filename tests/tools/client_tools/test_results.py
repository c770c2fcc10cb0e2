"""Covers `tools.client_tools.api`, `tools.schemas`."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from spending.ledger import Used
from tools.base import Failed, Succeeded
from tools.client_tools import results
from tools.client_tools.results import ResultRefused
from tools.execution.outcome import outcome_row
from tools.models import ToolExecution

pytestmark = pytest.mark.django_db

ALICE = "user:1"
BOB = "user:2"
ONE, OTHER = "1" * 64, "2" * 64
USED = Used(owner=ALICE, key="operator", tool="client")


def execution(**changes: Any) -> ToolExecution:
    now = timezone.now()
    values = {
        "id": uuid4(),
        "owner": ALICE,
        "tool": "get_selection",
        "source": "model",
        "params": {},
        "status": "awaiting_client",
        "created": now,
        "started": now,
        "expires": now + timedelta(hours=1),
    }
    return ToolExecution.objects.create(**{**values, **changes})


def give(row: ToolExecution, owner: str = ALICE, digest: str = ONE, data: Any = "text") -> ToolExecution:
    outcome = outcome_row(row.id, Succeeded(data=data, content=""), 1.0, printed="", stored=None, max_bytes=1_000)
    return results.give(outcome, USED, owner, digest)


@pytest.mark.parametrize(
    ("changes", "owner", "code"),
    [
        ({}, BOB, "not_found"),
        ({"status": "running", "expires": None}, ALICE, "not_waiting"),
        ({"status": "awaiting_approval"}, ALICE, "not_waiting"),
        ({"status": "succeeded", "expires": None, "ended": timezone.now()}, ALICE, "not_waiting"),
        ({"expires": timezone.now() - timedelta(seconds=1)}, ALICE, "too_late"),
        ({"status": "timed_out", "ended": timezone.now()}, ALICE, "too_late"),
        ({"status": "cancelled", "ended": timezone.now()}, ALICE, "too_late"),
        ({"status": "interrupted", "ended": timezone.now()}, ALICE, "too_late"),
        ({"status": "succeeded", "ended": timezone.now(), "result_sha256": OTHER}, ALICE, "already_answered"),
    ],
)
def test_result_is_refused_if_no_call_of_the_owner_waits_for_it(changes: dict[str, Any], owner: str, code: str) -> None:
    row = execution(**changes)
    with pytest.raises(ResultRefused) as caught:
        give(row, owner)
    assert caught.value.code == code
    row.refresh_from_db()
    assert (row.status, row.data) == (changes.get("status", "awaiting_client"), None)


def test_result_is_stored_once_and_the_same_one_again_changes_nothing() -> None:
    row = execution()
    given = give(row)
    assert (given.status, given.data, given.code) == ("succeeded", "text", "")
    assert give(row, data="a change with the same hash").data == "text"
    with pytest.raises(ResultRefused, match="already"):
        give(row, digest=OTHER)


def test_outcomes_follow_the_order_of_the_calls_when_none_waits_any_more() -> None:
    first, second, third = execution(), execution(), execution(expires=timezone.now() - timedelta(seconds=1))
    ids = [first.id, second.id, third.id]
    give(second, data={"a": None})
    assert results.settle(ids, timezone.now()) is None
    assert results.count_waiting() == 1
    give(first, data=None)
    settled = results.settle([*ids, uuid4()], timezone.now())
    assert settled
    late = Failed(error=results.EXPIRED, code="timed_out")
    assert settled.outcomes == (
        Succeeded(data=None, content="null"),
        Succeeded(data={"a": None}, content='{"a":null}'),
        late,
        late,
    )


def test_cancelled_run_keeps_the_results_that_were_given() -> None:
    first, second = execution(), execution()
    give(first)
    settled = results.settle([first.id, second.id], timezone.now(), cancelled=True)
    assert settled
    assert settled.cancelled
    assert settled.outcomes[0] == Succeeded(data="text", content="text")
    assert settled.outcomes[1] == Failed(error=results.CANCELLED, code="cancelled")
