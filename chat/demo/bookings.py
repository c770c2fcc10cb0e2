"""The usage and the budgets of the demo's calls, booked as the service books them."""

from datetime import datetime
from typing import Any, Final

from access.limits.budgets import budget
from access.models import ApiKey
from spending import ledger
from spending.accounts import Amount, Payer, lines
from spending.ledger import Used

NANO: Final = 10**9


def book(key: ApiKey, moment: datetime, cost_usd: float | None, tokens: int = 0, **used: Any) -> None:
    """Count a call in the usage of its day, and book it on the budgets of its key."""
    nanos = None if cost_usd is None else round(cost_usd * NANO)
    ledger.add([Used(owner=key.owner, key=str(key.pk), nanos=nanos, **used)], moment)
    payer = Payer(owner=key.owner, key=str(key.pk), budgets=tuple(map(budget, key.budgets)))
    ledger.spend(lines(payer, (), moment), Amount(nanos=nanos, tokens=tokens), moment)
