"""What a call of a model costs: by the operator's own prices, else by the price data in `genai-prices`.

A price that is not known is None, never 0.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from genai_prices import Usage, calc_price

from chat.engine.model_port import TokensUsed
from chat.pricing.price_list import MILLION, ListPrice


class Prices:
    """`vendors` names each provider as the data does; one that is not in it costs what `own` says, or is not known.

    `free` are providers that cost nothing.
    """

    def __init__(self, vendors: Mapping[str, str], own: Sequence[ListPrice] = (), free: Sequence[str] = ()) -> None:
        self._vendors = vendors
        self._own = own
        self._free = free
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, provider: str, model: str, used: TokensUsed) -> float | None:
        """The cost in USD of one call, or None where it is unknown."""
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
            output_tokens=used.output_tokens,
            output_reasoning_tokens=used.reasoning_tokens,
        )
        return float(calc_price(usage, model_ref=model, provider_id=vendor).total_price)

    def knows(self, vendor: str, model: str) -> bool:
        """Whether the data has the model, and a million of its tokens cost something. The first look-up takes 0.3 s."""
        if (vendor, model) not in self._known:
            million = Usage(input_tokens=MILLION, output_tokens=MILLION)
            try:
                found = calc_price(million, model_ref=model, provider_id=vendor).total_price
            except LookupError:
                found = Decimal(0)
            self._known[vendor, model] = found > 0
        return self._known[vendor, model]
