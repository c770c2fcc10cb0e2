"""Endpoints that a file or one variable declares.

Covers `chat.providers.openai.endpoint`, `chat.providers.presets`, `orchestrator_site.environment.provider_settings`.
"""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from chat import conf
from chat.engine.model_port import TokensUsed
from chat.pricing.prices import Prices
from chat.providers import SPECS, all_specs
from chat.providers.endpoint_file import read
from chat.providers.openai.endpoint import Endpoint, SpeechAddress
from chat.providers.presets import PRESETS
from orchestrator_site.environment.provider_settings import endpoints, setting
from orchestrator_site.environment.variables import Environment
from scripts.source import ROOT
from web.toml_file import InvalidFile

NAMES = {spec.name for spec in SPECS}
USED = TokensUsed(input_tokens=1_000_000, output_tokens=1_000_000)


def declared(folder: Path, text: str, **variables: str) -> tuple[Endpoint, ...]:
    (folder / "providers.toml").write_text(text)
    return read(folder / "providers.toml", lambda name: variables.get(name, ""), NAMES)


def test_example_declares_endpoints_with_all_that_is_known(tmp_path: Path) -> None:
    for name in ("gpu-ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch()
    azure, gpu, sidecar = declared(
        tmp_path,
        (ROOT / "providers.example.toml").read_text(),
        AZURE_OPENAI_API_KEY="a-key",
        AZURE_SPEECH_API_KEY="b-key",
    )
    assert (azure.name, azure.api_key, azure.key_header, azure.default_model) == (
        "azure", "a-key", "api-key", "gpt-5.4-mini"
    )  # fmt: skip
    assert azure.speech is not None
    assert (azure.speech.api_key, azure.speech.key_header) == ("b-key", "api-key")
    assert "b-key" in azure.secrets()
    assert azure.speech.base_url == "https://my-speech.openai.azure.com/openai/v1?api-version=preview"
    assert gpu.speech is None
    coder, other = gpu.known("qwen3-coder"), gpu.known("llama-base")
    assert coder is not None
    assert other is not None
    assert (coder.context_tokens, coder.images, other.tools) == (262_144, False, False)
    assert gpu.known("another") is None
    assert gpu.ca_file == tmp_path / "gpu-ca.pem"
    assert sidecar.unix_socket == Path("/run/sidecar.sock")
    assert coder.price is not None
    assert Prices({}, own=[coder.price])("gpu", "qwen3-coder", USED) == pytest.approx(0.8)
    assert Prices({}, own=[coder.price])("other", "qwen3-coder", USED) is None


A = "[endpoints.a]\nbase_url = 'http://h'\n"
S = "[endpoints.a.speech]\n"
MODEL = f"{A}[[endpoints.a.models]]\nname = 'm'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{A}\nbase_ulr = 'x'\n", r"line 4: \[endpoints.a\]: there is no field 'base_ulr'; there are base_url"),
        (f"{MODEL}context = 1\n", r"line 5: .*no field 'context'; there are name"),
        (f"{MODEL}context_tokens = 'x'\n", r"line 5: .*context_tokens: expected"),
        (f"{MODEL}price = 'free'\n", r"line 5: .*price of m"),
        ("[endpoints.a]\n", r"line 1: .*base_url"),
        ("[endpoints.a]\nbase_url = 'ftp://h'\n", r"line 2: .*must be a URL that starts with http"),
        ("[endpoints.a]\nbase_url = 'http://u:p@h'\n", r"line 2: .*without a user"),
        (A.replace(".a]", ".openai]"), r"line 1: .*'openai' is taken"),
        (A.replace(".a]", ".A]"), r"line 1: .*lower-case"),
        (A.replace("endpoints", "endpoint"), r"line 1: there is no table 'endpoint'"),
        (f"{A}[endpoints.a]\n", r"is not TOML: .*line 3"),
        ("[endpoints.a\n", r"is not TOML: .*line 1"),
        (f"{A}api_key_variable = 'NO_KEY'\n", r"line 3: .*NO_KEY is not set"),
        (f"{A}api_key_file = 'nowhere'\n", r"line 3: .*cannot be read"),
        (f"{A}api_key = 'a'\napi_key_file = 'b'\n", r"line 4: .*give one of api_key, api_key_file"),
        (f"{A}api_key = 'a b'\n", r"line 3: .*HTTP header"),
        (f"{A}key_header = 'x'\n", r"line 3: .*key_header: invalid enum value"),
        (f"{A}headers = {{Host = 'x'}}\n", r"line .*header 'Host' cannot be set"),
        (f"{A}ca_file = 'nowhere.pem'\n", r"line 3: .*ca_file names no file"),
        (
            f"{A}{S}base_ulr = 'x'\n",
            r"line 4: \[endpoints.a.speech\]: .*no field 'base_ulr'; there are base_url, api_key",
        ),
        (f"{A}{S}base_url = 'ftp://h'\n", r"line 4: .*base_url must be a URL"),
        (f"{A}{S}api_key_variable = 'NO_KEY'\n", r"line 4: .*NO_KEY is not set"),
        (f"{A}{S}api_key = 'a'\napi_key_file = 'b'\n", r"line 5: .*give one of"),
        (f"{A}{S}key_header = 'x'\n", r"line 4: .*key_header: invalid enum value"),
        (f"{A}speech = true\n", r"line 3: .*speech: expected `object"),
        (f"{A}speech = {{base_url = 'h'}}\n", r"line 3: \[endpoints.a.speech\]: base_url must be"),
        (f"{A}speech.base_url = 'h'\n", r"line 3: .*base_url must be"),
        (A.replace(".a]", ".google]") + "speech = {}\n", r"line 1: .*'google' is taken for speech"),
    ],
)
def test_fault_is_one_sentence_with_the_line_and_what_is_valid(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidFile, match=said) as caught:
        declared(tmp_path, text)
    assert "providers.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "key"),
    [
        ("speech = {}\n", "http://h", "k"),
        ("speech = {api_key = 's'}\n", "http://h", "s"),
        # The key of the models is not sent to another place.
        ("speech.base_url = 'http://other/v1'\n", "http://other/v1", ""),
        (f"{S}base_url = 'http://other/v1'\napi_key = 's'\n", "http://other/v1", "s"),
    ],
)
def test_speech_of_an_endpoint_has_its_own_place_and_key(tmp_path: Path, text: str, url: str, key: str) -> None:
    (endpoint,) = declared(tmp_path, f"{A}api_key = 'k'\nkey_header = 'api-key'\n{text}")
    assert endpoint.speech == SpeechAddress(base_url=url, api_key=key, key_header="api-key")


def test_usual_services_need_one_variable_each(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text("[endpoints.groq]\nbase_url = 'http://h'\n")
    env = {"OPENROUTER_API_KEY": "a-key", "OLLAMA_BASE_URL": "http://127.0.0.1:11434/v1"}
    found = endpoints(Environment(env), "PROVIDERS_FILE", NAMES)
    assert [(one.name, one.base_url, one.api_key) for one in found] == [
        ("openrouter", "https://openrouter.ai/api/v1", "a-key"),
        ("ollama", "http://127.0.0.1:11434/v1", ""),
    ]
    both = Environment({"GROQ_API_KEY": "k", "PROVIDERS_FILE": str(tmp_path / "providers.toml")})
    with pytest.raises(ImproperlyConfigured, match=r"PROVIDERS_FILE: .*'groq' is taken"):
        endpoints(both, "PROVIDERS_FILE", NAMES)
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)


def test_declared_endpoints_are_providers_beside_the_others(settings: Any) -> None:
    settings.ENDPOINTS = (Endpoint(name="gpu", base_url="http://h/v1", default_model="m"),)
    settings.PROVIDER_SPECS = all_specs(settings.ENDPOINTS, ())
    registry = conf.provider_registry()
    assert registry.names == ("openai", "gemini", "anthropic", "gpu", "local")
    assert registry.default == "gpu"


@pytest.mark.parametrize("value", ["[]", "{", '{"X": 1}', '{"X": "a\\nb"}'])
def test_headers_of_a_variable_are_a_json_object_of_texts(value: str) -> None:
    (wanted,) = [each for each in SPECS[0].settings if each.name == "OPENAI_HEADERS"]
    with pytest.raises(ImproperlyConfigured, match=r"OPENAI_HEADERS.*JSON object"):
        setting(Environment({"OPENAI_HEADERS": value}), wanted)
    assert setting(Environment({"OPENAI_HEADERS": '{"X-Team": "blue"}'}), wanted) == {"X-Team": "blue"}
