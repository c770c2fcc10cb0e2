"""Misconfiguration of conversations, found before the service starts."""

from datetime import date
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from chat import conf

RETIRED: Final = {
    "gpt-5": date(2026, 12, 11),
    "gpt-5-mini": date(2026, 12, 11),
    "gpt-5-nano": date(2026, 12, 11),
    "o3": date(2026, 12, 11),
    "gpt-4o": date(2027, 1, 14),
    "gpt-4o-mini": date(2027, 1, 14),
    "gpt-4.1": date(2027, 1, 14),
    "gpt-4.1-mini": date(2027, 1, 14),
}
"""Models whose end their vendor has announced (https://platform.openai.com/docs/deprecations)."""


@register
def check_local_model(**_: Any) -> list[CheckMessage]:
    path = settings.LOCAL_MODEL_PATH
    if path is None or path.is_file():
        return []
    hint = "Name a GGUF file, or leave it empty for the model that ships with the extra `local`."
    return [Error(f"LOCAL_MODEL_PATH names no file: {path}.", hint=hint, id="chat.E001")]


@register
def check_fallback(**_: Any) -> list[CheckMessage]:
    names = conf.PROVIDERS
    return [
        Error(f"PROVIDER_FALLBACK names {name!r}; valid are {', '.join(names)}.", id="chat.E002")
        for name in settings.PROVIDER_FALLBACK
        if name not in names
    ]


@register
def check_retired_model(**_: Any) -> list[CheckMessage]:
    end = RETIRED.get(settings.DEFAULT_MODEL)
    if end is None or not settings.OPENAI_API_KEY:
        return []
    hint = "Choose a model that stays, such as gpt-5.4-mini."
    return [
        Caution(f"DEFAULT_MODEL={settings.DEFAULT_MODEL} is shut down on {end:%Y-%m-%d}.", hint=hint, id="chat.W001")
    ]
