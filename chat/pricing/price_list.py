"""The operator's own prices of models: `MODEL_PRICES`."""

import re
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from chat.engine.model_port import TokensUsed

MILLION: Final = 1_000_000

_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_VALID: Final = (
    "models between semicolons, each with its prices in USD for a million tokens of input, output, cached input and "
    "reasoning (the last two may be left out), such as: gpt-4o-mini:0.15,0.6,0.075; openai/llama-*:0,0"
)


class ListPrice(msgspec.Struct, frozen=True, kw_only=True):
    """USD for a million tokens. `model` is a pattern of a model's name, or of `provider/model`."""

    model: str
    input: float
    output: float
    cached: float
    reasoning: float

    def holds_for(self, provider: str, model: str) -> bool:
        return fnmatchcase(model, self.model) or fnmatchcase(f"{provider}/{model}", self.model)

    def cost(self, used: TokensUsed) -> float:
        fresh, answered = used.input_tokens - used.cached_tokens, used.output_tokens - used.reasoning_tokens
        parts = fresh * self.input + used.cached_tokens * self.cached
        return (parts + answered * self.output + used.reasoning_tokens * self.reasoning) / MILLION


def price_list(text: str) -> tuple[ListPrice, ...]:
    """The operator's own prices, as `MODEL_PRICES` says them. Raises `ValueError`."""
    return tuple(_price(part) for part in text.split(";") if part.strip())


def _price(text: str) -> ListPrice:
    model, _, prices = text.rpartition(":")
    numbers = [part.strip() for part in prices.split(",")]
    if not model.strip() or not 2 <= len(numbers) <= 4 or not all(map(_NUMBER.fullmatch, numbers)):
        raise ValueError(f"it names {_VALID}")
    asked, answered, *others = map(float, numbers)
    cached = others[0] if others else asked
    reasoning = others[1] if len(others) > 1 else answered
    return ListPrice(model=model.strip(), input=asked, output=answered, cached=cached, reasoning=reasoning)
