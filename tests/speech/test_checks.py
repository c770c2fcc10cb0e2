import re
from typing import Any

import pytest
from django.test import override_settings

from chat.providers.openai.endpoint import Endpoint, SpeechAddress
from scripts.source import ROOT
from speech import conf
from speech.checks import RETIRED, check_credentials, check_provider, check_retired_models
from speech.pricing import price_of_seconds

GPU = Endpoint(name="gpu", base_url="http://h/v1", speech=SpeechAddress(base_url="http://s/v1", api_key="k-of-speech"))


def test_unknown_default_provider_is_reported_before_the_start() -> None:
    with override_settings(DEFAULT_SPEECH_PROVIDER="azure"):
        (found,) = check_provider()
    assert (found.id, "openai, google, local" in found.msg) == ("speech.E001", True)
    with override_settings(DEFAULT_SPEECH_PROVIDER="gpu", ENDPOINTS=(GPU,)):
        assert check_provider() == []
    assert check_provider() == []


def test_missing_credentials_are_reported_before_the_start() -> None:
    for named, ids in (("/nowhere.json", ["speech.E002"]), ("default", []), ("", [])):
        with override_settings(GOOGLE_SPEECH_CREDENTIALS=named):
            assert [found.id for found in check_credentials()] == ids


def test_retiring_model_is_reported_where_it_is_used() -> None:
    with override_settings(OPENAI_API_KEY="sk-x", DEFAULT_STT_MODEL="whisper-1"):
        assert [found.id for found in check_retired_models()] == ["speech.W001", "speech.W001"]
    assert check_retired_models() == []


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, {"openai", "google"}),
        ({"OPENAI_API_KEY": "sk-x"}, {"google"}),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, {"google"}),
        ({"OPENAI_SPEECH_BASE_URL": "http://127.0.0.1:9/v1"}, {"google"}),
        ({"OPENAI_SPEECH_API_KEY": "sk-x"}, {"google"}),
        ({"OPENAI_API_KEY": "sk-x", "OPENAI_SPEECH_BASE_URL": "https://api.openai.com/v1"}, {"openai", "google"}),
        ({"ENDPOINTS": (GPU,)}, {"openai", "google"}),
        ({"GOOGLE_SPEECH_API_KEY": "AIza"}, {"openai"}),
        ({"GOOGLE_SPEECH_CREDENTIALS": "default"}, {"openai"}),
    ],
)
def test_settings_decide_which_providers_are_configured(settings: dict[str, Any], missing: set[str]) -> None:
    with override_settings(**settings):
        providers = conf.service.__wrapped__().providers
        assert {name for name in providers.names if providers.missing(name)} == missing
        assert providers.reaches_out == (missing != {"openai", "google"} or "gpu" in providers.names)


def test_shipped_model_of_transcription_is_not_retired_and_has_a_price() -> None:
    shipped = re.search(r"^DEFAULT_STT_MODEL=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert shipped
    assert shipped[1] not in RETIRED
    assert price_of_seconds("openai", shipped[1], 60) is not None
