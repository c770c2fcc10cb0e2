"""The settings of conversations, read in one place, and the providers of providers that they amount to.

Adding a provider: its module in `providers/`, and its entry here.
"""

import importlib
import importlib.util
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from channels.layers import BaseChannelLayer, get_channel_layer  # type: ignore[import-untyped]  # it ships no types
from django.conf import settings

from chat.engine.limits import Limits, Retries
from chat.pricing import tokenizer
from chat.pricing.prices import Prices
from chat.providers.base import Provider, Timeouts
from chat.providers.registry import Entry, ProviderRegistry
from chat.runs.live.budget import Tariff
from chat.runs.live.subscribers import StreamTimeouts

logger = logging.getLogger(__name__)

PROVIDERS: Final = ("openai", "gemini", "local")
OPENAI_MODEL: Final = "gpt-5.4-mini"
GEMINI_MODEL: Final = "gemini-2.5-flash"
LOCAL_MISSING: Final = "the local model's packages are not installed (uv sync --extra local)"


def is_stored() -> bool:
    """Whether conversations are kept in the database."""
    return bool(settings.ENABLE_PERSISTENCE)


def max_active_runs() -> int:
    return int(settings.MAX_ACTIVE_RUNS)


def channel_layer() -> BaseChannelLayer | None:
    """What carries word between processes, where `CHANNEL_LAYER_URL` names it."""
    return get_channel_layer() if settings.CHANNEL_LAYER_URL else None


def lease_seconds() -> float:
    return float(settings.LEASE_SECONDS)


def drain_seconds() -> float:
    return float(settings.DRAIN_SECONDS)


def journal_seconds() -> float:
    return float(settings.JOURNAL_SECONDS)


def system_prompt() -> str:
    return str(settings.SYSTEM_PROMPT)


def limits() -> Limits:
    return Limits(
        max_seconds=settings.RUN_MAX_SECONDS,
        max_steps=settings.RUN_MAX_STEPS,
        max_tool_calls=settings.RUN_MAX_TOOL_CALLS,
        max_output_tokens=settings.RUN_MAX_OUTPUT_TOKENS,
        max_output_bytes=settings.RUN_MAX_OUTPUT_BYTES,
    )


def retries() -> Retries:
    return Retries(attempts=settings.PROVIDER_MAX_RETRIES)


def timeouts() -> StreamTimeouts:
    return StreamTimeouts(
        heartbeat=settings.HEARTBEAT_SECONDS,
        grace=settings.DISCONNECT_GRACE_SECONDS,
        slow_reader=settings.SLOW_READER_SECONDS,
    )


def prices() -> Prices:
    """Prices for the vendors' own services; what another service at `OPENAI_BASE_URL` charges is not known."""
    vendors = {}
    if urlsplit(settings.OPENAI_BASE_URL).hostname == "api.openai.com":
        vendors["openai"] = "openai"
    if not settings.GEMINI_BASE_URL:
        vendors["gemini"] = "google"
    return Prices(vendors, own=settings.MODEL_PRICES, free=("local",))


def tariff() -> Tariff:
    return Tariff(price=prices(), count=tokenizer.count, budgets=settings.BUDGETS)


def provider_registry() -> ProviderRegistry:
    """The providers in the order in which one becomes the default: OpenAI, Gemini, the local model."""
    own_service = urlsplit(settings.OPENAI_BASE_URL).hostname != "api.openai.com"
    return ProviderRegistry(
        (
            Entry(
                name="openai",
                make=partial(_make, "chat.providers.openai.provider", "OpenAI", _openai),
                missing="" if settings.OPENAI_API_KEY or own_service else "OPENAI_API_KEY is not set",
            ),
            Entry(
                name="gemini",
                make=partial(_make, "chat.providers.gemini.provider", "Gemini", _gemini),
                missing="" if settings.GEMINI_API_KEY else "GEMINI_API_KEY is not set",
            ),
            Entry(
                name="local",
                make=partial(_make, "chat.providers.local.provider", "Local", _local),
                missing=_local_missing(),
            ),
        ),
        default=settings.DEFAULT_PROVIDER,
        fallback=settings.PROVIDER_FALLBACK,
    )


def _make(module: str, name: str, options: Callable[[], dict[str, Any]]) -> Provider:
    """Loads the adapter when it is first needed: the vendors' packages take a second each."""
    provider: Provider = getattr(importlib.import_module(module), name)(**options())
    return provider


def _timeouts() -> Timeouts:
    return Timeouts(
        connect=settings.PROVIDER_CONNECT_TIMEOUT,
        first_byte=settings.PROVIDER_FIRST_BYTE_TIMEOUT,
        idle=settings.PROVIDER_IDLE_TIMEOUT,
    )


def _openai() -> dict[str, Any]:
    return {
        "api_key": settings.OPENAI_API_KEY,
        "base_url": settings.OPENAI_BASE_URL,
        "default_model": _model(OPENAI_MODEL, fits=not settings.DEFAULT_MODEL.startswith(("gemini", "smollm"))),
        "timeouts": _timeouts(),
    }


def _gemini() -> dict[str, Any]:
    return {
        "api_key": settings.GEMINI_API_KEY,
        "base_url": settings.GEMINI_BASE_URL or None,
        "default_model": _model(GEMINI_MODEL, fits=settings.DEFAULT_MODEL.startswith("gemini")),
        "timeouts": _timeouts(),
    }


def _local() -> dict[str, Any]:
    return {
        "model_path": settings.LOCAL_MODEL_PATH,
        "parallel": settings.LOCAL_MODEL_PARALLEL,
        "context_tokens": settings.LOCAL_MODEL_CONTEXT_TOKENS,
        "threads": None,
    }


def _local_missing() -> str:
    return "" if importlib.util.find_spec("xllamacpp") else LOCAL_MISSING


def _model(own: str, *, fits: bool) -> str:
    wanted: str = settings.DEFAULT_MODEL
    if wanted and not fits:
        logger.warning("default_model.foreign", extra={"wanted": wanted, "used": own})
    return wanted if wanted and fits else own
