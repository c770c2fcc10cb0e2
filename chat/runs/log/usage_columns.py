"""The usage of a model call, or of a whole run, as columns of its row."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from chat.engine.events import TotalUsage, Usage

NAMES: Final = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "estimated")
SMALLEST: Final = Decimal("1e-10")

# A service may report any number of tokens, and an overflow would fail the whole batch.
MAX_USD: Final = 9_999_999_999.0
"""The largest cost that the column can store."""

UNKNOWN: Final = (None, None, None, None, None, False)


def values(usage: Usage | TotalUsage) -> Sequence[Any]:
    """Return the values of the columns, in the order of `NAMES`."""
    cost = usage.cost_usd
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        # `repr` has the shortest digits of the float; `Decimal(float)` would have all binary ones.
        None if cost is None else Decimal(repr(min(cost, MAX_USD))).quantize(SMALLEST),
        usage.estimated,
    )
