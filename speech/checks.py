"""Django system checks of the speech settings."""

from datetime import date
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from speech import conf

# The shutdown dates that the vendor has announced (https://platform.openai.com/docs/deprecations).
RETIRED: Final = {
    "tts-1": date(2027, 1, 6),
    "tts-1-hd": date(2027, 1, 6),
    "gpt-4o-mini-tts": date(2027, 1, 6),
    "whisper-1": date(2027, 2, 26),
    "gpt-4o-transcribe": date(2027, 2, 26),
    "gpt-4o-mini-transcribe": date(2027, 2, 26),
}


@register
def check_provider(**_: Any) -> list[CheckMessage]:
    name = settings.DEFAULT_SPEECH_PROVIDER
    if name in conf.provider_names():
        return []
    valid = ", ".join(conf.provider_names())
    return [Error(f"DEFAULT_SPEECH_PROVIDER={name!r} is not a speech provider. Valid: {valid}.", id="speech.E001")]


@register
def check_credentials(**_: Any) -> list[CheckMessage]:
    named = settings.GOOGLE_SPEECH_CREDENTIALS
    if not named or named == conf.APPLICATION_DEFAULT or Path(named).expanduser().is_file():
        return []
    hint = f"Set it to a JSON file of credentials, or to {conf.APPLICATION_DEFAULT}."
    return [Error(f"GOOGLE_SPEECH_CREDENTIALS is not a file: {named}.", hint=hint, id="speech.E002")]


@register
def check_retired_models(**_: Any) -> list[CheckMessage]:
    if conf.openai_missing() or settings.DEFAULT_SPEECH_PROVIDER != "openai" or conf.disabled():
        return []
    return [
        Caution(f"{name}={model} will be shut down on {RETIRED[model]:%Y-%m-%d}.", id="speech.W001")
        for name in ("DEFAULT_TTS_MODEL", "DEFAULT_STT_MODEL")
        if (model := getattr(settings, name)) in RETIRED
    ]
