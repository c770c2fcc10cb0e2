"""What a call of a vendor costs is paid before it is made: the port to budgets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from speech.base import SpeechError


class Budget(Protocol):
    """What one caller may spend."""

    async def spend(self, cost_usd: float | None) -> None:
        """Books what a call is about to cost; None where that is not known.

        Raises `SpeechError` (`budget_exceeded`, `price_unknown`): then nothing is booked.
        """
        ...

    async def give_back(self) -> None:
        """What was booked last has cost nothing."""
        ...


class UnlimitedBudget:
    """Holds no budget."""

    async def spend(self, cost_usd: float | None) -> None:
        pass

    async def give_back(self) -> None:
        pass


OPEN: Final = UnlimitedBudget()


@asynccontextmanager
async def paid(budget: Budget, cost_usd: float | None) -> AsyncIterator[None]:
    """Around a call of a vendor, until its answer begins. One that failed has cost nothing; one broken off here has."""
    await budget.spend(cost_usd)
    try:
        yield
    except SpeechError:
        await budget.give_back()
        raise
