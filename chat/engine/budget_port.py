"""The port to budgets, which a turn consults before each model call."""

from collections.abc import Sequence
from typing import Protocol

from chat.engine.events import BudgetUsed
from chat.engine.retry import ModelCall


class Budget(Protocol):
    """The spending limit of one run."""

    async def reserve(self, call: ModelCall, max_output: int) -> Sequence[BudgetUsed]:
        """Reserve the maximum cost of the call, whose answer has at most `max_output` tokens.

        Return an event for each budget that is nearly used up. Raise `LimitReached` (`budget_exceeded`).
        """


class UnlimitedBudget:
    """A budget that accepts every call."""

    async def reserve(self, call: ModelCall, max_output: int) -> Sequence[BudgetUsed]:
        return ()
