"""What a call of a model, or a whole run, took: as columns of the row that says so."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from chat.engine.events import TotalUsage, Usage

NAMES: Final = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "estimated")
SMALLEST: Final = Decimal("1e-10")
MAX_USD: Final = 9_999_999_999.0
"""What the column of a cost can keep: a service may tell of any number of tokens."""

UNKNOWN: Final = (None, None, None, None, None, False)


def values(usage: Usage | TotalUsage) -> Sequence[Any]:
    """The columns' values, in the order of `NAMES`."""
    tokens = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    return (*tokens, _money(usage.cost_usd), usage.estimated)


def _money(cost: float | None) -> Decimal | None:
    return None if cost is None else Decimal(repr(min(cost, MAX_USD))).quantize(SMALLEST)
