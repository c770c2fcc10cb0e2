"""The cost of a model call, by the operator's own prices or by the price data in `genai-prices`.

An unknown price is None, never 0.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from genai_prices import Usage, calc_price

from chat.engine.events import COST_DIGITS
from chat.engine.model_port import TokensUsed
from chat.pricing.price_list import MILLION, ListPrice


class Prices:
    """The prices of all models. `vendors` has the name of each provider in the price data.

    A price of the operator's `own` list takes precedence. `free` providers cost nothing.
    """

    def __init__(self, vendors: Mapping[str, str], own: Sequence[ListPrice] = (), free: Sequence[str] = ()) -> None:
        self._vendors = vendors
        self._own = own
        self._free = free
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, provider: str, model: str, used: TokensUsed) -> float | None:
        """Return the cost of one call in USD, or None if it is unknown."""
        for price in self._own:
            if price.holds_for(provider, model):
                return price.cost(used)
        if provider in self._free:
            return 0.0
        vendor = self._vendors.get(provider)
        if vendor is None or not self.knows(vendor, model):
            return None
        usage = Usage(
            input_tokens=used.input_tokens,
            cache_read_tokens=used.cached_tokens,
            cache_write_tokens=used.cache_write_tokens,
            output_tokens=used.output_tokens,
            output_reasoning_tokens=used.reasoning_tokens,
        )
        return round(float(calc_price(usage, model_ref=model, provider_id=vendor).total_price), COST_DIGITS)

    def knows(self, vendor: str, model: str) -> bool:
        """Return whether the price data has the model. The first call takes 0.3 s."""
        # The data has a price of 0 for models whose price it cannot express, such as those billed by the minute.
        if (vendor, model) not in self._known:
            million = Usage(input_tokens=MILLION, output_tokens=MILLION)
            try:
                found = calc_price(million, model_ref=model, provider_id=vendor).total_price
            except LookupError:
                found = Decimal(0)
            self._known[vendor, model] = found > 0
        return self._known[vendor, model]
