"""Covers `chat.checks`."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from chat import conf
from chat.api.provider_listing import provider_items
from chat.providers import gemini as gemini_spec
from chat.providers import openai as openai_spec
from chat.providers.base import Provider
from chat.providers.registry import Entry, NotConfigured, ProviderRegistry, UnknownProvider
from chat.providers.scripted import Scripted


class Second(Scripted):
    name = "second"


def providers(*, missing: str = "", default: str = "", fallback: tuple[str, ...] = ()) -> ProviderRegistry:
    entries = (
        Entry(name="scripted", make=Scripted, missing=missing),
        Entry(name="second", make=Second),
    )
    return ProviderRegistry(entries, default=default, fallback=fallback)


async def test_broken_provider_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Provider:
        raise ImportError("socksio")

    entries = (Entry(name="scripted", make=Scripted), Entry(name="broken", make=broken))
    first, second = await provider_items(ProviderRegistry(entries))
    assert (first["reason"], first["models"]) == (None, ["scripted-1"])
    assert "internal error" in second["reason"]
    assert "provider.broken" in caplog.text


@pytest.mark.parametrize("key", ["sk-t\u00e4st", "sk test", "sk\ntest"])
def test_key_that_a_header_cannot_have_is_named(settings: Any, key: str) -> None:
    settings.OPENAI_API_KEY = key
    assert ["OPENAI_API_KEY" in found.msg for found in run_checks() if found.id == "chat.E003"] == [True]


def test_first_configured_provider_is_the_default() -> None:
    assert providers().default == "scripted"
    assert providers(missing="no key").default == "second"
    assert providers(default="second").default == "second"


def test_each_provider_is_created_once() -> None:
    both = providers()
    assert both.get("second") is both.get("second")


def test_fallbacks_follow_the_requested_provider_and_use_their_default_models() -> None:
    candidates = providers(fallback=("scripted", "second")).candidates("second", "m")
    assert [(candidate.provider.name, candidate.model) for candidate in candidates] == [
        ("second", "m"),
        ("scripted", "scripted-1"),
    ]


def test_unavailable_provider_is_reported_with_the_available_ones() -> None:
    with pytest.raises(UnknownProvider, match="The providers are scripted, second"):
        providers().get("third")
    with pytest.raises(NotConfigured, match="not configured: no key"):
        providers(missing="no key").get("scripted")
    with pytest.raises(NotConfigured, match="scripted: no key"):
        assert ProviderRegistry([Entry(name="scripted", make=Scripted, missing="no key")]).default


@pytest.mark.parametrize(
    ("variables", "default"),
    [
        ({}, "local"),
        ({"GEMINI_API_KEY": "k"}, "gemini"),
        ({"GEMINI_API_KEY": "k", "OPENAI_API_KEY": "k"}, "openai"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai"),
        ({"OPENAI_API_KEY": "k", "DEFAULT_PROVIDER": "local"}, "local"),
    ],
)
def test_settings_choose_the_default_provider(settings: Any, variables: dict[str, str], default: str) -> None:
    for name, value in variables.items():
        setattr(settings, name, value)
    assert conf.provider_registry().default == default


async def test_default_model_is_replaced_at_providers_that_do_not_have_it(settings: Any) -> None:
    settings.OPENAI_API_KEY = settings.GEMINI_API_KEY = "k"
    for wanted, openai, gemini in [
        ("", openai_spec.SPEC.default_model, gemini_spec.SPEC.default_model),
        ("gpt-4o-mini", "gpt-4o-mini", gemini_spec.SPEC.default_model),
        ("gemini-3-flash", openai_spec.SPEC.default_model, "gemini-3-flash"),
    ]:
        settings.DEFAULT_MODEL = wanted
        providers = conf.provider_registry()
        assert providers.get("openai").default_model == openai
        assert providers.get("gemini").default_model == gemini
        assert providers.get("local").default_model == "smollm2-135m-instruct"
        await providers.close()


def test_invalid_setting_is_reported_before_the_start(settings: Any) -> None:
    settings.LOCAL_MODEL_PATH = Path("/nowhere.gguf")
    settings.PROVIDER_FALLBACK = ("nobody",)
    settings.OPENAI_API_KEY, settings.DEFAULT_MODEL = "k", "gpt-4o"
    found = {problem.id: problem.msg for problem in run_checks()}
    assert "/nowhere.gguf" in found["chat.E001"]
    assert "Valid names are openai, gemini, anthropic, local" in found["chat.E002"]
    assert "2027-01-14" in found["chat.W001"]
