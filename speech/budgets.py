"""The budgets that pay for a vendor call: those of the payer and those of the service."""

from functools import partial
from math import ceil

from django.utils import timezone

from access.limits.budgets import NANO
from speech import conf
from speech.base import SpeechError
from spending import ledger
from spending.accounts import Amount, Line, Payer, lines
from storage.writer import writer


class CallBudget:
    """The budget of one call. Nothing is counted if persistence is off."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._booked: tuple[tuple[Line, ...], Amount] | None = None

    async def spend(self, cost_usd: float | None) -> None:
        """Book the cost, as `speech.budget_port.Budget` describes. Also raises `StorageUnavailable`."""
        now = timezone.now()
        drawn = lines(self._payer, conf.budgets(), now)
        if not drawn or not conf.is_stored():
            return
        # Rounded up, so that many small calls cannot exceed the budget by their fractions.
        cost = Amount(nanos=None if cost_usd is None else ceil(cost_usd * NANO), tokens=0)
        refused = await writer.write(partial(ledger.spend, drawn, cost, now))
        if refused is not None and cost.of(refused.unit) is None:
            raise SpeechError(
                f"The price of this call is unknown, and a {refused.scope} budget ({refused.unit}, {refused.span}) "
                "applies to it. Name another provider or model.",
                code="price_unknown",
            )
        if refused is not None:
            raise SpeechError(
                f"Insufficient {refused.scope} budget ({refused.unit}, {refused.span}).", code="budget_exceeded"
            )
        self._booked = drawn, cost

    async def give_back(self) -> None:
        """Cancel the booking, as `speech.budget_port.Budget` describes. Also raises `StorageUnavailable`."""
        if self._booked is not None:
            # Cleared before the write, so that a second call cannot refund twice.
            (drawn, cost), self._booked = self._booked, None
            await writer.write(partial(ledger.give_back, drawn, cost, timezone.now()))
