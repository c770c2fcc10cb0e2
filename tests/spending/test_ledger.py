"""Accounts, reservations and totals in a real database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import transaction

from access.limits.budgets import Budget, budget
from spending import ledger
from spending.accounts import Amount, Line, Payer, lines
from spending.ledger import Refused, Reserved, Used
from spending.models import Account, Reservation, Use

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
ALICE = Payer(owner="key:a", key="a", run_id=uuid4(), session_id=uuid4())


def payer(*budgets: str, run_id: UUID | None = None, key: str = "a") -> Payer:
    own = tuple(map(budget, budgets))
    return msgspec.structs.replace(ALICE, budgets=own, key=key, run_id=run_id or uuid4())


def reserve(who: Payer, tokens: int, nanos: int | None = 0, now: datetime = NOW, service: str = "") -> object:
    with transaction.atomic():
        drawn = lines(who, [budget(service)] if service else [], now)
        return ledger.reserve(who.run_id, drawn, Amount(nanos=nanos, tokens=tokens), now)


def settle(who: Payer, tokens: int | None, nanos: int | None = 0) -> None:
    with transaction.atomic():
        ledger.settle(who.run_id, None if tokens is None else Amount(nanos=nanos, tokens=tokens), NOW)


def balances() -> dict[str, tuple[int, int]]:
    return {row.name: (row.spent, row.reserved) for row in Account.objects.all()}


def test_reservation_counts_until_it_is_settled_at_its_cost() -> None:
    who = payer("100tokens")
    assert reserve(who, 60) == Reserved((0,))
    assert balances() == {"key:a:tokens": (0, 60)}
    assert isinstance(reserve(payer("100tokens"), 60), Refused)
    settle(who, 45)
    assert balances() == {"key:a:tokens": (45, 0)}
    assert not Reservation.objects.exists()
    assert reserve(payer("100tokens"), 55) == Reserved((45,))


def test_budget_can_be_used_up_to_its_last_token() -> None:
    assert reserve(payer("100tokens"), 100) == Reserved((0,))
    refused = reserve(payer("100tokens"), 1)
    assert isinstance(refused, Refused)
    assert (refused.line.account, refused.line.limit, refused.spent) == ("key:a:tokens", 100, 0)


def test_call_rejected_by_one_budget_leaves_the_others_unchanged() -> None:
    who = payer("1000tokens/day", "10tokens/month", "1usd")
    assert isinstance(reserve(who, 50, nanos=5), Refused)
    assert set(balances().values()) == {(0, 0)}
    assert not Reservation.objects.exists()


def test_unknown_price_is_rejected_by_a_budget_of_money() -> None:
    assert isinstance(reserve(payer("1000usd"), 1, nanos=None), Refused)
    assert isinstance(reserve(payer("1000tokens"), 1, nanos=None), Reserved)


def test_reservation_of_a_dead_run_is_settled_in_full() -> None:
    who = payer("100tokens", "1usd/day")
    reserve(who, 70, nanos=9)
    settle(who, None)
    assert balances() == {"key:a:tokens": (70, 0), "key:a:usd/2026-11-22": (9, 0)}


def test_second_settlement_changes_nothing() -> None:
    who = payer("100tokens")
    reserve(who, 70)
    settle(who, 30)
    settle(who, None)
    assert balances() == {"key:a:tokens": (30, 0)}


def test_reservation_of_a_retry_replaces_the_first() -> None:
    who = payer("100tokens")
    reserve(who, 80)
    settle(who, 0)
    assert reserve(who, 90) == Reserved((0,))
    assert balances() == {"key:a:tokens": (0, 90)}


def test_cost_above_the_reservation_is_booked_in_full() -> None:
    who = payer("100tokens")
    reserve(who, 50)
    settle(who, 120)
    assert balances() == {"key:a:tokens": (120, 0)}
    assert isinstance(reserve(payer("100tokens"), 1), Refused)


def test_each_day_and_month_has_its_own_account() -> None:
    who = payer("10tokens/day", "15tokens/month")
    reserve(who, 10)
    settle(who, 10)
    assert isinstance(reserve(payer("10tokens/day", "15tokens/month"), 1), Refused)
    tomorrow = NOW + timedelta(days=1)
    assert isinstance(reserve(payer("10tokens/day", "15tokens/month"), 5, now=tomorrow), Reserved)
    assert isinstance(reserve(payer("10tokens/day", "15tokens/month"), 1, now=tomorrow), Refused)
    assert isinstance(reserve(payer("10tokens/day", "15tokens/month"), 10, now=NOW + timedelta(days=30)), Reserved)


def test_keys_have_separate_accounts_and_share_that_of_the_service() -> None:
    assert isinstance(reserve(payer("10tokens", key="a"), 10, service="15tokens"), Reserved)
    assert isinstance(reserve(payer("10tokens", key="b"), 6, service="15tokens"), Refused)
    assert isinstance(reserve(payer("10tokens", key="b"), 5, service="15tokens"), Reserved)


def test_lower_of_two_run_budgets_applies() -> None:
    who = payer("50tokens/run")
    assert [line.limit for line in lines(who, [budget("20tokens/run")], NOW)] == [20]
    assert isinstance(reserve(who, 21, service="20tokens/run"), Refused)


def test_accounts_of_a_run_are_deleted_with_it() -> None:
    who = payer("50tokens/run", "50tokens/session")
    reserve(who, 10)
    with transaction.atomic():
        ledger.settle(who.run_id, Amount(nanos=0, tokens=10), NOW)
        ledger.forget_run(who.run_id)
    assert balances() == {f"session:{who.session_id}:tokens": (10, 0)}
    with transaction.atomic():
        ledger.forget_session(who.session_id)
    assert balances() == {}


def test_daily_usage_is_added_up_by_caller_model_and_tool() -> None:
    call = Used(owner="o", key="k", provider="p", model="m", input_tokens=3, output_tokens=4, nanos=5)
    with transaction.atomic():
        ledger.add([call, call, msgspec.structs.replace(call, nanos=None, estimated=True)], NOW)
        ledger.add([Used(owner="o", key="k", tool="fs.read", failed=True, milliseconds=7)], NOW)
        ledger.add([call], NOW + timedelta(days=1))
    rows = {
        (row.day.day, row.model, row.tool): (row.calls, row.input_tokens, row.cost, row.unpriced, row.estimated)
        for row in Use.objects.all()
    }
    assert rows == {
        (22, "m", ""): (3, 9, 10, 1, 1),
        (22, "", "fs.read"): (1, 0, 0, 0, 0),
        (23, "m", ""): (1, 3, 5, 0, 0),
    }
    assert Use.objects.get(tool="fs.read").failed == 1


def test_accounts_are_locked_in_one_order_to_prevent_deadlocks() -> None:
    one = lines(payer("1usd", "5tokens/day", "9tokens/session"), [budget("5usd/month")], NOW)
    other = lines(payer("9tokens/session", "5tokens/day", "1usd"), [budget("5usd/month")], NOW)
    assert [line.account.rpartition(":")[2] for line in one] == [line.account.rpartition(":")[2] for line in other]
    assert list(one) == sorted(one, key=lambda line: line.account)
    assert all(isinstance(line, Line) for line in one)
    assert budget("1usd") == Budget(10**9, "usd", "ever")
