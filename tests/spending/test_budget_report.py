"""The spent, reserved and remaining amounts of budgets.

Covers `spending.conf`.
"""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from access.keys.issuing import issue, validated
from access.limits.budgets import budgets
from spending.budget_report import balances
from spending.models import Account

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def spend(account: str, spent: int, reserved: int = 0) -> None:
    Account.objects.create(name=account, spent=spent, reserved=reserved, updated=NOW)


def key(name: str, *limits: str) -> str:
    return str(issue(validated(NOW, name=name, budgets=limits), NOW).row.id)


def found() -> list[tuple[str, str, int, int, int | None, int | None]]:
    return [(each.account, each.name, each.spent, each.reserved, each.limit, each.left) for each in balances(NOW)]


def test_budgets_without_a_call_have_their_whole_limit(settings: Any) -> None:
    settings.BUDGETS = budgets("10usd/month, 5usd/month, 100tokens, 1usd/run")
    alice = key("alice", "200tokens/day", "1usd/session")
    key("bob")
    assert found() == [
        ("service:tokens", "", 0, 0, 100, 100),
        ("service:usd/2026-11", "", 0, 0, 5 * 10**9, 5 * 10**9),
        (f"key:{alice}:tokens/2026-11-22", "alice", 0, 0, 200, 200),
    ]


def test_spent_and_reserved_amounts_are_not_left(settings: Any) -> None:
    settings.BUDGETS = budgets("10usd/month, 1usd/run")
    alice = key("alice", "200tokens/day")
    spend("service:usd/2026-11", 3 * 10**9, 10**9)
    spend("service:usd/2026-10", 11 * 10**9)
    spend(f"key:{alice}:tokens/2026-11-22", 150, 60)
    spend("run:1:usd", 10**8)
    assert found() == [
        ("service:usd/2026-11", "", 3 * 10**9, 10**9, 10**10, 6 * 10**9),
        (f"key:{alice}:tokens/2026-11-22", "alice", 150, 60, 200, 0),
        ("run:1:usd", "", 10**8, 0, 10**9, 9 * 10**8),
        ("service:usd/2026-10", "", 11 * 10**9, 0, 10**10, 0),
    ]


def test_limit_that_is_not_known_is_not_guessed(settings: Any) -> None:
    settings.BUDGETS = budgets("1usd/run")
    key("alice", "0.5usd/run")
    spend("run:1:usd", 10**8)
    spend("service:usd/2026-11", 1)
    spend("key:gone:tokens", 1)
    assert {(limit, left) for *_, limit, left in found()} == {(None, None)}


def test_command_and_console_show_the_same(settings: Any) -> None:
    settings.BUDGETS = budgets("10usd, 1000tokens")
    spend("service:usd", 25 * 10**8, 5 * 10**8)
    spend("service:tokens", 1)
    out, errors = StringIO(), StringIO()
    call_command("usage", "--budgets", stdout=out, stderr=errors)
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "service:tokens 1 token spent, 0 reserved, 1000 limit, 999 left",
        "service:usd 2.5 usd spent, 0.5 reserved, 10 limit, 7 left",
    ]
    assert errors.getvalue() == "2 budgets.\n"
    out, errors = StringIO(), StringIO()
    call_command("usage", "--budgets", "--json", stdout=out, stderr=errors)
    first, second = json.loads(out.getvalue())["items"]
    assert first == {"account": "service:tokens", "name": None, "unit": "tokens", "spent": 1, "reserved": 0,
                     "limit": 1000, "left": 999}  # fmt: skip
    assert (second["spent"], second["reserved"], second["limit"], second["left"]) == (2.5, 0.5, 10, 7)
    assert errors.getvalue() == ""
    console = Client()
    console.force_login(User.objects.create_superuser("root"))
    for page in ("", "service%3Ausd/change/".replace("%3A", "_3A")):
        shown = console.get(f"/admin/spending/account/{page}").content.decode()
        assert all(amount in shown for amount in ("2.500000 USD", "0.500000 USD", "10.000000 USD", "7.000000 USD"))
