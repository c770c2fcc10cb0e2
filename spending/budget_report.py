"""The spent, reserved and remaining amounts of each budget: sync functions that only read."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from access.limits.budgets import NANO, Budget, Span, Unit, budget
from access.models import ApiKey
from spending import conf
from spending.accounts import Payer, lines
from spending.models import Account

MAX_BALANCES: Final = 1_000
"""Accounts of one report, besides those of the current periods: the last used come first."""

Limits = Mapping[tuple[Unit, Span], int]


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """An account in billionths of a dollar, or in tokens. `limit` is None if its budget is not known any more.

    `name` is the key's, or empty for accounts of other subjects.
    """

    account: str
    name: str = ""
    unit: Unit
    spent: int = 0
    reserved: int = 0
    limit: int | None = None

    @property
    def left(self) -> int | None:
        """The amount that may still be reserved."""
        return None if self.limit is None else max(0, self.limit - self.spent - self.reserved)

    def written(self, amount: int) -> str:
        """Return an amount of this account without its unit."""
        return f"{Decimal(amount) / NANO:f}" if self.unit == "usd" else str(amount)

    def as_dict(self) -> dict[str, Any]:
        """Return the balance for programs, with amounts in USD or in tokens."""
        amounts = {name: getattr(self, name) for name in ("spent", "reserved", "limit", "left")}
        if self.unit == "usd":
            # In dollars, as `GET /usage` has them.
            amounts = {name: None if value is None else value / NANO for name, value in amounts.items()}
        return {"account": self.account, "name": self.name or None, "unit": self.unit, **amounts}


class Budgets:
    """The budgets of the service and of all keys, by which the limit of an account is found."""

    def __init__(self) -> None:
        found = ApiKey.objects.exclude(budgets=[]).order_by("name")
        self.live: dict[str, tuple[Budget, ...]] = {}
        self._names: dict[str, str] = {}
        self._keys: dict[str, Limits] = {}
        self._service = _lowest(conf.service_budgets())
        for key, name, texts, revoked in found.values_list("id", "name", "budgets", "revoked"):
            budgets = tuple(map(budget, texts))
            self._names[str(key)] = name
            self._keys[str(key)] = _lowest(budgets)
            if revoked is None:
                self.live[str(key)] = budgets

    def balance(self, account: str, spent: int = 0, reserved: int = 0) -> Balance:
        """Return the balance of an account by its name, such as `key:ID:usd/2026-11`."""
        subject, _, rest = account.rpartition(":")
        kind, _, key = subject.partition(":")
        written, _, period = rest.partition("/")
        unit: Unit = "usd" if written == "usd" else "tokens"
        span: Span = "ever" if not period else "day" if period.count("-") == 2 else "month"
        name, limit = "", self._service.get((unit, span))
        if kind == "key":
            name, limit = self._names.get(key, ""), self._keys.get(key, {}).get((unit, span))
        elif kind in {"run", "session"}:
            of_one: Span = "run" if kind == "run" else "session"
            # The account does not name its key, whose own budget may be lower.
            is_of_keys = any((unit, of_one) in limits for limits in self._keys.values())
            limit = None if is_of_keys else self._service.get((unit, of_one))
        return Balance(account=account, name=name, unit=unit, spent=spent, reserved=reserved, limit=limit)


def balances(now: datetime) -> list[Balance]:
    """Return the budgets of the service and of live keys in their current periods, then the other accounts."""
    budgets = Budgets()
    service = conf.service_budgets()
    payers = [Payer(owner=""), *(Payer(owner="", key=key, budgets=own) for key, own in budgets.live.items())]
    # Without a run and a session, the lines are those of the service and of the key.
    current = dict.fromkeys(line.account for payer in payers for line in lines(payer, service, now))
    rows = Account.objects.values_list("name", "spent", "reserved")
    amounts = {name: (spent, reserved) for name, spent, reserved in rows.filter(name__in=list(current))}
    others = rows.exclude(name__in=list(current)).order_by("-updated", "name")[:MAX_BALANCES]
    return [
        *(budgets.balance(name, *amounts.get(name, (0, 0))) for name in current),
        *(budgets.balance(*row) for row in others),
    ]


def _lowest(budgets: Iterable[Budget]) -> Limits:
    """Return the limit of each unit and span: of two budgets for one, the lower."""
    found: dict[tuple[Unit, Span], int] = {}
    for one in budgets:
        place = one.unit, one.span
        found[place] = min(one.amount, found.get(place, one.amount))
    return found
