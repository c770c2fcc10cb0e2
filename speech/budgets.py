"""The budgets that a call of a vendor draws on: those of whoever pays, and the service's own."""

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
    """One call's. Where nothing is stored, nothing is counted."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._booked: tuple[tuple[Line, ...], Amount] | None = None

    async def spend(self, cost_usd: float | None) -> None:
        """As `speech.budget_port.Purse` says; and raises `StorageUnavailable`."""
        now = timezone.now()
        drawn = lines(self._payer, conf.budgets(), now)
        if not drawn or not conf.is_stored():
            return
        cost = Amount(nanos=None if cost_usd is None else ceil(cost_usd * NANO), tokens=0)
        refused = await writer.write(partial(ledger.spend, drawn, cost, now))
        if refused is not None:
            raise _exceeded(refused) if cost.of(refused.unit) is not None else _unknown(refused)
        self._booked = drawn, cost

    async def give_back(self) -> None:
        """As `speech.budget_port.Purse` says; and raises `StorageUnavailable`."""
        if self._booked is not None:
            (drawn, cost), self._booked = self._booked, None
            await writer.write(partial(ledger.give_back, drawn, cost, timezone.now()))


def _exceeded(line: Line) -> SpeechError:
    return SpeechError(
        f"Too little is left of the {line.scope}'s budget of {line.unit} ({line.span}).", code="budget_exceeded"
    )


def _unknown(line: Line) -> SpeechError:
    return SpeechError(
        f"What this costs is not known, and the {line.scope}'s budget of {line.unit} ({line.span}) holds for it: "
        "name another provider or model.",
        code="price_unknown",
    )
