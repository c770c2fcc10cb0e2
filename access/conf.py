"""The settings of access, read in one place."""

from django.conf import settings

from access.network.host_check import Rules
from access.network.proxies import Networks


def api_key() -> str:
    """The service's own key, or nothing."""
    return str(settings.API_KEY)


def rules(*, keyed: bool) -> Rules:
    return Rules(
        keyed=keyed,
        hosts=tuple(settings.ALLOWED_HOSTS),
        origins=tuple(settings.CORS_ALLOWED_ORIGINS),
    )


def trusted_proxies() -> Networks:
    found: Networks = settings.TRUSTED_PROXIES
    return found


def rate() -> str:
    """How many requests the whole service takes; empty for any number."""
    return str(settings.RATE_LIMIT)


def rate_per_key() -> str:
    """The same of a key without a rate of its own."""
    return str(settings.RATE_LIMIT_PER_KEY)


def counted_in() -> str:
    """The URL of a Redis-compatible server that all processes count in; empty where each counts for itself."""
    return str(settings.CHANNEL_LAYER_URL)


def max_body_bytes() -> int:
    return int(settings.MAX_BODY_BYTES)
