"""Budgets as an operator writes them: `10usd/month`, `200000tokens/day`, `0.5usd/run`, or `25usd` without a period."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, cast

import msgspec

Unit = Literal["usd", "tokens"]
UNITS: Final[tuple[Unit, ...]] = ("usd", "tokens")
Span = Literal["run", "session", "day", "month", "ever"]

# Money is counted in whole billionths of a dollar: sums of them are exact in every database.
NANO: Final = 10**9

MAX_AMOUNT: Final = 2**53
"""The largest budget, in billionths of a dollar or tokens: nine million dollars."""

# Parsed texts are cached, because each request of a key parses its budgets.
MAX_REMEMBERED: Final = 1_024

_WRITTEN: Final = re.compile(
    r"(?P<amount>\d{1,16}(?:\.\d{1,9})?) ?(?P<unit>usd|tokens)(?:/(?P<span>run|session|day|month|ever))?", re.ASCII
)


class BudgetInvalid(ValueError):
    """The text is not a budget; the message describes the valid form."""


class Budget(msgspec.Struct, frozen=True):
    """A limit of `amount` (billionths of a dollar, or tokens) per run, session, UTC day or month, or in all."""

    amount: int
    unit: Unit
    span: Span

    def __str__(self) -> str:
        amount = f"{Decimal(self.amount) / NANO:f}" if self.unit == "usd" else str(self.amount)
        return f"{amount}{self.unit}" + ("" if self.span == "ever" else f"/{self.span}")


@lru_cache(maxsize=MAX_REMEMBERED)
def budget(text: str) -> Budget:
    """Parse a budget. Raises `BudgetInvalid`."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    if found is None:
        raise BudgetInvalid(
            "A budget is an amount, a unit (usd or tokens) and a period (run, session, day or month). Examples: "
            "10usd/month, 200000tokens/day, 0.5usd/run."
        )
    unit: Unit = "usd" if found["unit"] == "usd" else "tokens"
    amount = Decimal(found["amount"]) * (NANO if unit == "usd" else 1)
    if amount != int(amount):
        raise BudgetInvalid("A budget in tokens is a whole number.")
    if not 0 < amount <= MAX_AMOUNT:
        raise BudgetInvalid(f"A budget is more than 0 and at most {MAX_AMOUNT // NANO}usd or {MAX_AMOUNT}tokens.")
    return Budget(int(amount), unit, cast("Span", found["span"] or "ever"))


def budgets(text: str) -> tuple[Budget, ...]:
    """Parse budgets separated by commas. Raises `BudgetInvalid`."""
    return tuple(budget(part) for part in text.split(",") if part.strip())
