"""The budgets that pay for a request to an embedding service: those of the payer and those of the service."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import TypeVar

from django.utils import timezone

from access.limits.budgets import NANO
from retrieval.base import ServiceError
from retrieval.remote.service import EmbeddingService
from spending import ledger
from spending.accounts import NOTHING, Amount, Line, Payer, lines
from spending.conf import service_budgets
from storage.writer import StorageUnavailable, writer
from tools import conf

Result = TypeVar("Result")


class RequestBudget:
    """The budgets of one request. Nothing is counted if persistence is off."""

    def __init__(self, service: EmbeddingService, payer: Payer) -> None:
        self._service = service
        self._payer = payer
        self._booked: tuple[tuple[Line, ...], Amount] = ((), NOTHING)

    async def spend(self, tokens: int) -> None:
        """Book the cost of at most this many tokens. Raises `ServiceError` without booking anything."""
        now = timezone.now()
        drawn = lines(self._payer, service_budgets(), now)
        if not drawn or not conf.is_stored():
            return
        cost = self._cost(tokens)
        refused = await _written(partial(ledger.spend, drawn, cost, now))
        if refused is not None:
            budget = f"{refused.scope} budget ({refused.unit}, {refused.span})"
            if cost.of(refused.unit) is None:
                raise ServiceError(f"The price of {self._service.model} is unknown, and a {budget} applies to it.")
            raise ServiceError(f"Insufficient {budget} for vectors.")
        self._booked = drawn, cost

    async def settle(self, tokens: int) -> None:
        """Replace the booking with the cost of the tokens that were used, and add them to the usage."""
        drawn, booked = self._booked
        if not conf.is_stored() or not (drawn or tokens):
            return
        cost = self._cost(tokens)
        rest = Amount(nanos=(booked.nanos or 0) - (cost.nanos or 0), tokens=booked.tokens - cost.tokens)
        used = ledger.Used(
            owner=self._payer.owner,
            key=self._payer.key,
            provider=self._service.name,
            model=self._service.model,
            input_tokens=tokens,
            nanos=cost.nanos,
        )

        def write() -> None:
            now = timezone.now()
            ledger.give_back(drawn, rest, now)
            if tokens:
                ledger.add([used], now)

        await _written(write)

    def _cost(self, tokens: int) -> Amount:
        # Rounded up, so that many small requests cannot exceed the budget by their fractions.
        usd = self._service.price(tokens) if tokens else 0.0
        return Amount(nanos=None if usd is None else ceil(usd * NANO), tokens=tokens)


async def _written(write: Callable[[], Result]) -> Result:
    try:
        return await writer.write(write)
    except StorageUnavailable as error:
        raise ServiceError("The cost of vectors cannot be booked: the database does not answer.") from error
