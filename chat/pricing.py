"""What a call of a model costs, by the price data in `genai-prices`. A price that is not known is None, never 0."""

from collections.abc import Mapping
from decimal import Decimal

from genai_prices import Usage, calc_price

from chat.engine.completion import TokensUsed


class Prices:
    """`vendors` names each provider as the data does; a provider that is not in it has no known price."""

    def __init__(self, vendors: Mapping[str, str]) -> None:
        self._vendors = vendors
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, provider: str, model: str, used: TokensUsed) -> float | None:
        """The cost in USD of one call, or None where it is unknown."""
        vendor = self._vendors.get(provider)
        if vendor is None or not self.knows(vendor, model):
            return None
        usage = Usage(
            input_tokens=used.input_tokens, cache_read_tokens=used.cached_tokens, output_tokens=used.output_tokens
        )
        return float(calc_price(usage, model_ref=model, provider_id=vendor).total_price)

    def knows(self, vendor: str, model: str) -> bool:
        """Whether the data has the model, and a million of its tokens cost something. The first look-up takes 0.3 s."""
        if (vendor, model) not in self._known:
            million = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
            try:
                found = calc_price(million, model_ref=model, provider_id=vendor).total_price
            except LookupError:
                found = Decimal(0)
            self._known[vendor, model] = found > 0
        return self._known[vendor, model]
