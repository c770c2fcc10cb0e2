from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import conf
from chat.engine.events import TotalUsage, Usage
from chat.engine.model_port import TokensUsed
from chat.engine.transcript import add_usage
from chat.pricing.price_list import price_list
from chat.pricing.prices import Prices

USED = TokensUsed(input_tokens=1_000_000, output_tokens=1_000_000)


def test_cached_tokens_cost_less_than_other_tokens() -> None:
    prices = Prices({"openai": "openai", "gemini": "google"})
    whole = prices("openai", "gpt-4o-mini", USED)
    cached = prices(
        "openai", "gpt-4o-mini", TokensUsed(input_tokens=1_000_000, output_tokens=1_000_000, cached_tokens=900_000)
    )
    assert whole == pytest.approx(0.75)
    assert cached is not None
    assert cached < whole
    assert prices("gemini", "gemini-2.5-flash", USED)


def test_tokens_written_to_the_cache_have_their_own_price() -> None:
    prices = Prices({"anthropic": "anthropic"})
    used = TokensUsed(input_tokens=1_000_000, output_tokens=0, cached_tokens=500_000, cache_write_tokens=500_000)
    assert prices("anthropic", "claude-haiku-4-5", used) == pytest.approx(0.05 + 0.625)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "no-such-model"), ("openai", "whisper-1"), ("local", "gpt-4o-mini"), ("scripted", "scripted-1")],
)
def test_unknown_price_is_none_and_never_zero(provider: str, model: str) -> None:
    assert Prices({"openai": "openai"})(provider, model, USED) is None


def test_compatible_service_at_another_url_has_no_known_price(settings: object) -> None:
    assert conf.prices()("openai", "gpt-4o-mini", USED)
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9100/v1"
    assert conf.prices()("openai", "gpt-4o-mini", USED) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.lists(st.integers(0, 10**6), max_size=5))
def test_cost_has_no_noise_of_binary_fractions(input_tokens: int, output: int, more: list[int]) -> None:
    prices = Prices({}, own=price_list("m: 0.15, 0.6"))
    total = TotalUsage()
    for tokens in [output, *more]:
        cost = prices("p", "m", TokensUsed(input_tokens=input_tokens, output_tokens=tokens))
        call = {"output_tokens": tokens, "cached_tokens": 0, "reasoning_tokens": 0, "estimated": False}
        total = add_usage(total, Usage(input_tokens=input_tokens, cost_usd=cost, **call))
    tenths = Decimal(input_tokens * (len(more) + 1)) * Decimal("0.15") + Decimal(output + sum(more)) * Decimal("0.6")
    assert Decimal(repr(total.cost_usd)) == tenths / 1_000_000
