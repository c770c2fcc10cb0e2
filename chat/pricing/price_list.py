"""The operator's own prices of models: the setting `MODEL_PRICES`."""

import re
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from chat.engine.events import COST_DIGITS
from chat.engine.model_port import TokensUsed

MILLION: Final = 1_000_000

_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_VALID: Final = (
    "models separated by semicolons, each with its prices in USD for a million tokens of input, output, cached input "
    "and reasoning. The last two are optional. Example: gpt-4o-mini:0.15,0.6,0.075; openai/llama-*:0,0"
)


class ListPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The prices in USD for a million tokens. `model` is a pattern of a model's name, or of `provider/model`."""

    model: str
    input: float
    output: float
    cached: float
    reasoning: float

    def holds_for(self, provider: str, model: str) -> bool:
        return fnmatchcase(model, self.model) or fnmatchcase(f"{provider}/{model}", self.model)

    def cost(self, used: TokensUsed) -> float:
        # Cached tokens are part of the input, and reasoning tokens are part of the output.
        fresh, visible = used.input_tokens - used.cached_tokens, used.output_tokens - used.reasoning_tokens
        parts = fresh * self.input + used.cached_tokens * self.cached
        parts += visible * self.output + used.reasoning_tokens * self.reasoning
        return round(parts / MILLION, COST_DIGITS)


def price_list(text: str) -> tuple[ListPrice, ...]:
    """Return the prices in a value of `MODEL_PRICES`. Raise `ValueError`."""
    found = []
    for part in filter(str.strip, text.split(";")):
        # A model's name may contain a colon.
        model, _, prices = part.rpartition(":")
        numbers = [number.strip() for number in prices.split(",")]
        if not model.strip() or not 2 <= len(numbers) <= 4 or not all(map(_NUMBER.fullmatch, numbers)):
            raise ValueError(f"it names {_VALID}")
        input_price, output_price, *others = map(float, numbers)
        found.append(
            ListPrice(
                model=model.strip(),
                input=input_price,
                output=output_price,
                cached=others[0] if others else input_price,
                reasoning=others[1] if len(others) > 1 else output_price,
            )
        )
    return tuple(found)
