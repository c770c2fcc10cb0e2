"""What may be spent, as an operator writes it: `10usd/month`, `200000tokens/day`, `0.5usd/run`, `25usd` (for ever)."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

import msgspec

Unit = Literal["usd", "tokens"]
UNITS: Final[tuple[Unit, ...]] = ("usd", "tokens")
Span = Literal["run", "session", "day", "month", "ever"]

NANO: Final = 10**9
"""Money is counted in whole billionths of a dollar: sums of them are exact in every database."""

MAX_AMOUNT: Final = 2**53
"""Whole units (billionths of a dollar, or tokens) of one budget: nine million dollars."""

MAX_REMEMBERED: Final = 1_024
"""Texts of which it is remembered what they say: each request of a key has its own read."""

_WRITTEN: Final = re.compile(
    r"(?P<amount>\d{1,16}(?:\.\d{1,9})?) ?(?P<unit>usd|tokens)(?:/(?P<span>run|session|day|month|ever))?", re.ASCII
)


class BudgetInvalid(ValueError):
    """A text is not a budget; it says which are."""


class Budget(msgspec.Struct, frozen=True):
    """At most `amount` (billionths of a dollar, or tokens) for each run, session, UTC day or month, or for ever."""

    amount: int
    unit: Unit
    span: Span

    def __str__(self) -> str:
        amount = f"{Decimal(self.amount) / NANO:f}" if self.unit == "usd" else str(self.amount)
        return f"{amount}{self.unit}" + ("" if self.span == "ever" else f"/{self.span}")


@lru_cache(maxsize=MAX_REMEMBERED)
def budget(text: str) -> Budget:
    """The budget that a text says. Raises `BudgetInvalid`."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    if found is None:
        raise BudgetInvalid(
            "A budget is an amount, usd or tokens, and what it is for (run, session, day, month; nothing means for "
            "ever), such as 10usd/month, 200000tokens/day or 0.5usd/run."
        )
    unit: Unit = "usd" if found["unit"] == "usd" else "tokens"
    amount = Decimal(found["amount"]) * (NANO if unit == "usd" else 1)
    if amount != int(amount):
        raise BudgetInvalid("Tokens are whole.")
    if not 0 < amount <= MAX_AMOUNT:
        raise BudgetInvalid(f"A budget is more than 0 and at most {MAX_AMOUNT // NANO}usd or {MAX_AMOUNT}tokens.")
    return Budget(int(amount), unit, _span(found["span"]))


def budgets(text: str) -> tuple[Budget, ...]:
    """Those between commas. Raises `BudgetInvalid`."""
    return tuple(budget(part) for part in text.split(",") if part.strip())


def _span(written: str | None) -> Span:
    spans: dict[str | None, Span] = {"run": "run", "session": "session", "day": "day", "month": "month"}
    return spans.get(written, "ever")
