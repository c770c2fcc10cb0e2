"""The settings of access, read in one place."""

from django.conf import settings

from access.network.host_check import Rules
from access.network.proxies import Networks
from access.peer_user import is_own_user


def api_key() -> str:
    """Return the service's own key, or an empty text."""
    return str(settings.API_KEY)


def rules(*, keyed: bool) -> Rules:
    return Rules(
        keyed=keyed,
        is_own_user=None if settings.ALLOW_KEYLESS else is_own_user,
        hosts=tuple(settings.ALLOWED_HOSTS),
        origins=tuple(settings.CORS_ALLOWED_ORIGINS),
        public_url=settings.PUBLIC_URL,
    )


def trusted_proxies() -> Networks:
    found: Networks = settings.TRUSTED_PROXIES
    return found


def rate() -> str:
    """Return the rate of the whole service; empty for no limit."""
    return str(settings.RATE_LIMIT)


def rate_per_key() -> str:
    """Return the rate of keys without a rate of their own; empty for no limit."""
    return str(settings.RATE_LIMIT_PER_KEY)


def login_rate() -> str:
    """Return the rate of attempts to log in to the console, for each address."""
    return str(settings.LOGIN_RATE)


def counted_in() -> str:
    """Return the URL of the Redis-compatible server in which all processes count; empty to count separately."""
    return str(settings.CHANNEL_LAYER_URL)
