"""The settings of conversations. Other modules of this app do not read `django.conf`."""

import logging
from functools import partial

from channels.layers import BaseChannelLayer, get_channel_layer  # type: ignore[import-untyped]  # it ships no types
from django.conf import settings

from chat.engine.limits import Limits, Retries
from chat.pricing import tokenizer
from chat.pricing.prices import Prices
from chat.providers.base import Provider, Timeouts
from chat.providers.registry import Entry, ProviderRegistry
from chat.providers.spec import ProviderSpec
from chat.runs.live.budget import Tariff
from chat.runs.live.subscribers import StreamTimeouts
from plugins.setting import Values

logger = logging.getLogger(__name__)


def is_stored() -> bool:
    """Return whether conversations are stored in the database."""
    return bool(settings.ENABLE_PERSISTENCE)


def max_active_runs() -> int:
    return int(settings.MAX_ACTIVE_RUNS)


def channel_layer() -> BaseChannelLayer | None:
    """Return the channel layer for notifications between processes, if `CHANNEL_LAYER_URL` is set."""
    return get_channel_layer() if settings.CHANNEL_LAYER_URL else None


def lease_seconds() -> float:
    return float(settings.LEASE_SECONDS)


def drain_seconds() -> float:
    return float(settings.DRAIN_SECONDS)


def journal_seconds() -> float:
    return float(settings.JOURNAL_SECONDS)


def system_prompt() -> str:
    return str(settings.SYSTEM_PROMPT)


def workspace_instructions() -> bool:
    """Return whether the system prompt names the instructions of the caller's workspace."""
    return bool(settings.WORKSPACE_INSTRUCTIONS)


def limits() -> Limits:
    return Limits(
        max_seconds=settings.RUN_MAX_SECONDS,
        max_steps=settings.RUN_MAX_STEPS,
        max_tool_calls=settings.RUN_MAX_TOOL_CALLS,
        max_output_tokens=settings.RUN_MAX_OUTPUT_TOKENS,
        max_output_bytes=settings.RUN_MAX_OUTPUT_BYTES,
    )


def many_tools() -> int:
    """Return the number of tools above which a model is offered only some of them."""
    return int(settings.TOOL_SEARCH_ABOVE)


def tool_tokens() -> int:
    """Return the tokens for all tools in a context if there are many."""
    return int(settings.TOOL_SEARCH_TOKENS)


def retries() -> Retries:
    return Retries(attempts=settings.PROVIDER_MAX_RETRIES)


def timeouts() -> StreamTimeouts:
    return StreamTimeouts(
        heartbeat=settings.HEARTBEAT_SECONDS,
        grace=settings.DISCONNECT_GRACE_SECONDS,
        slow_reader=settings.SLOW_READER_SECONDS,
    )


def provider_values(spec: ProviderSpec) -> Values:
    """Return the values of a provider's settings."""
    if spec.name in settings.PLUGINS.values:
        values: Values = settings.PLUGINS.values[spec.name]
        return values
    return {setting.name: getattr(settings, setting.name) for setting in spec.settings}


def specs() -> tuple[ProviderSpec, ...]:
    """Return the specifications of all providers, declared endpoints among them."""
    found: tuple[ProviderSpec, ...] = settings.PROVIDER_SPECS
    return found


def prices() -> Prices:
    """Return the prices of all providers' models."""
    # The price data covers the vendors' own services only, not others with the same API.
    vendors = {spec.name: spec.price_vendor(provider_values(spec)) for spec in specs()}
    known = {name: vendor for name, vendor in vendors.items() if vendor}
    listed = [model.price for endpoint in settings.ENDPOINTS for model in endpoint.models if model.price]
    free = tuple(spec.name for spec in specs() if spec.is_free)
    return Prices(known, own=(*settings.MODEL_PRICES, *listed), free=free)


def tariff() -> Tariff:
    return Tariff(price=prices(), count=tokenizer.count, budgets=settings.BUDGETS)


def provider_registry() -> ProviderRegistry:
    """Return the providers of this service, in the order in which one becomes the default."""
    timeouts = Timeouts(
        connect=settings.PROVIDER_CONNECT_TIMEOUT,
        first_byte=settings.PROVIDER_FIRST_BYTE_TIMEOUT,
        idle=settings.PROVIDER_IDLE_TIMEOUT,
    )

    def make(spec: ProviderSpec) -> Provider:
        requested: str = settings.DEFAULT_MODEL
        model = spec.default_for(provider_values(spec), requested)
        # With several providers, DEFAULT_MODEL can belong to one of them only.
        if requested and model != requested and spec.default_model:
            logger.warning("default_model.foreign", extra={"wanted": requested, "used": model})
        return spec.make(provider_values(spec), model, timeouts)

    entries = [
        Entry(name=spec.name, make=partial(make, spec), missing=spec.missing(provider_values(spec)))
        for spec in specs()
        if not spec.is_chosen_only or spec.name == settings.DEFAULT_PROVIDER
    ]
    return ProviderRegistry(entries, default=settings.DEFAULT_PROVIDER, fallback=settings.PROVIDER_FALLBACK)
