"""The port to budgets: what a turn asks before each call of a model."""

from collections.abc import Sequence
from typing import Protocol

from chat.engine.events import BudgetUsed
from chat.engine.retry import Asked


class Budget(Protocol):
    """What a run may spend."""

    async def reserve(self, asked: Asked, max_output: int) -> Sequence[BudgetUsed]:
        """Sets aside what the call may cost that is about to be made, with at most so many tokens of output.

        Returns what is to be told of budgets that are nearly used up. Raises `LimitReached` (`budget_exceeded`).
        """


class UnlimitedBudget:
    """A budget without a budget."""

    async def reserve(self, asked: Asked, max_output: int) -> Sequence[BudgetUsed]:
        return ()
