"""The setting of the embedding service."""

from typing import Any

import pytest

from chat.pricing.price_list import price_list
from chat.providers import openai
from chat.providers.openai.endpoint import Endpoint
from orchestrator_site.environment.provider_settings import embedding_service, setting
from orchestrator_site.environment.variables import Environment

OLLAMA = Endpoint(
    name="ollama", base_url="http://127.0.0.1:9/v1?a=b", api_key="k", key_header="api-key", query={"c": "d"}
)


def values(**variables: str) -> dict[str, Any]:
    env = Environment(variables)
    return {each.name: setting(env, each) for each in openai.SPEC.settings}


@pytest.mark.parametrize("text", ["openai", ":model", "openai:", "other:model", "openai: ", "gemini:embedding"])
def test_invalid_value_names_the_endpoints(text: str) -> None:
    with pytest.raises(ValueError, match="ENDPOINT:MODEL, with one of the endpoints openai, ollama"):
        embedding_service(text, values(), [OLLAMA], ())


def test_endpoint_gives_the_url_the_key_and_the_price() -> None:
    assert embedding_service("", values(), [OLLAMA], ()) is None
    local = embedding_service("ollama:nomic-embed-text:latest", values(), [OLLAMA], ())
    assert local is not None
    assert (local.name, local.model) == ("ollama", "nomic-embed-text:latest")
    assert local.url == "http://127.0.0.1:9/v1/embeddings?a=b&c=d"
    assert (local.headers, local.missing, local.price(1)) == ({"api-key": "k"}, "", None)
    priced = embedding_service("ollama:m", values(), [OLLAMA], price_list("ollama/m:2,0"))
    assert priced is not None
    assert priced.price(500_000) == pytest.approx(1.0)
    hosted = embedding_service("openai:text-embedding-3-small", values(OPENAI_API_KEY="sk-1"), [], ())
    assert hosted is not None
    assert hosted.headers == {"Authorization": "Bearer sk-1"}
    assert hosted.price(1_000_000) == pytest.approx(0.02)
    without_key = embedding_service("openai:text-embedding-3-small", values(), [], ())
    assert without_key is not None
    assert without_key.missing == "OPENAI_API_KEY is not set"
