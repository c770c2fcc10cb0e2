"""The context windows of an endpoint's models.

Covers `chat.pricing.vendors`.
"""

import pytest

from chat.providers.base import LARGEST_CONTEXT
from chat.providers.model_list import listed_models
from chat.providers.openai.contexts import OPENAI_TOKENS, UNKNOWN_TOKENS, Contexts
from chat.providers.openai.endpoint import Endpoint, KnownModel

OPENAI = Endpoint(name="openai", base_url="https://api.openai.com/v1")
OWN = Endpoint(name="own", base_url="http://127.0.0.1:9/v1", models=(KnownModel(name="qwen*", context_tokens=40_000),))


def test_public_data_knows_the_models_of_vendors() -> None:
    assert Contexts(OPENAI).tokens("gpt-4o") == 128_000
    assert Contexts(OPENAI).tokens("gpt-5.4-mini") == 400_000
    assert Contexts(OPENAI).tokens("gpt-unheard-of") == OPENAI_TOKENS
    deepseek = Endpoint(name="d", base_url="https://api.deepseek.com/v1")
    assert Contexts(deepseek).tokens("deepseek-chat") > UNKNOWN_TOKENS


def test_what_is_not_public_is_known_from_the_file_or_the_service_s_list_or_assumed() -> None:
    contexts = Contexts(OWN)
    contexts.learn({"llama": 8_192, "mute": None})
    found = [contexts.tokens(model) for model in ("qwen3", "llama", "mute", "other")]
    assert found == [40_000, 8_192, UNKNOWN_TOKENS, UNKNOWN_TOKENS]
    assert [contexts.most(model) for model in ("qwen3", "other")] == [40_000, LARGEST_CONTEXT]
    assert contexts.warning("llama") == contexts.warning("") == ""
    assert "The context of other is not known, so 32,768 tokens are assumed" in contexts.warning("other")


def test_context_of_a_refusal_counts_first_and_only_falls() -> None:
    contexts = Contexts(OWN)
    contexts.lower("qwen3", 10_000)
    contexts.lower("qwen3", 90_000)
    assert contexts.tokens("qwen3") == 10_000


@pytest.mark.parametrize(
    "item",
    [
        '{"id": "m", "context_length": 9000}',
        '{"id": "m", "max_model_len": 9000}',
        '{"id": "m", "context_window": 9000}',
        '{"id": "m", "max_context_length": 9000}',
        '{"id": "m", "meta": {"n_ctx": 9000}}',
    ],
)
def test_services_list_contexts_under_many_names(item: str) -> None:
    assert listed_models(f'{{"data": [{item}]}}') == {"m": 9_000}


@pytest.mark.parametrize("value", ['"9000"', "true", "-1", "0", "null", "{}"])
def test_odd_context_is_unknown(value: str) -> None:
    assert listed_models(f'[{{"id": "m", "context_length": {value}, "meta": []}}]') == {"m": None}
