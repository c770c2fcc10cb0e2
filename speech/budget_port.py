"""The port to budgets. The cost of a vendor call is booked before the call is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from speech.base import SpeechError


class Budget(Protocol):
    """The budget of one caller."""

    async def spend(self, cost_usd: float | None) -> None:
        """Book the cost of a call that is about to be sent; None if it is unknown.

        Raises `SpeechError` (`budget_exceeded`, `price_unknown`) without booking anything.
        """
        ...

    async def give_back(self) -> None:
        """Cancel the last booking."""
        ...


class UnlimitedBudget:
    """A budget that accepts every cost."""

    async def spend(self, cost_usd: float | None) -> None:
        pass

    async def give_back(self) -> None:
        pass


OPEN: Final = UnlimitedBudget()


@asynccontextmanager
async def paid(budget: Budget, cost_usd: float | None) -> AsyncIterator[None]:
    """Book the cost of a vendor call, and cancel the booking if the call fails before its answer begins."""
    await budget.spend(cost_usd)
    try:
        yield
    # A call that the client cancels is not refunded, because the vendor has received it and may bill it.
    except SpeechError:
        await budget.give_back()
        raise
