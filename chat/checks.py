"""System checks that find misconfiguration of conversations before the service starts."""

import re
from datetime import date
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from chat import conf
from chat.providers import openai

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
"""The announced shutdown dates of models: https://platform.openai.com/docs/deprecations."""

HEADER_VALUE: Final = re.compile(r"[!-~]*")
"""Visible ASCII, which every server takes in a header."""


@register
def check_files(**_: Any) -> list[CheckMessage]:
    values = {
        setting.name: conf.provider_values(spec)[setting.name]
        for spec in conf.specs()
        for setting in spec.settings
        if setting.kind == "file"
    }
    return [
        Error(f"{name}: there is no file {path}.", hint="Name a file, or leave the variable empty.", id="chat.E001")
        for name, path in values.items()
        if path is not None and not path.is_file()
    ]


@register
def check_keys(**_: Any) -> list[CheckMessage]:
    keys = {
        setting.name: conf.provider_values(spec)[setting.name]
        for spec in conf.specs()
        for setting in spec.settings
        if setting.kind == "secret"
    }
    return [
        Error(
            f"{name} has a character that an HTTP header cannot have.",
            hint="Copy the key again: it has only letters, digits and punctuation of ASCII.",
            id="chat.E003",
        )
        for name, key in keys.items()
        if not HEADER_VALUE.fullmatch(key)
    ]


@register
def check_fallback(**_: Any) -> list[CheckMessage]:
    names = [spec.name for spec in conf.specs()]
    return [
        Error(f"PROVIDER_FALLBACK names {name!r}. Valid names are {', '.join(names)}.", id="chat.E002")
        for name in settings.PROVIDER_FALLBACK
        if name not in names
    ]


@register
def check_retired_model(**_: Any) -> list[CheckMessage]:
    end = RETIRED.get(settings.DEFAULT_MODEL)
    if end is None or openai.SPEC.missing(conf.provider_values(openai.SPEC)):
        return []
    problem = f"DEFAULT_MODEL={settings.DEFAULT_MODEL} will be shut down on {end:%Y-%m-%d}."
    return [Caution(problem, hint="Choose a current model, such as gpt-5.4-mini.", id="chat.W001")]
