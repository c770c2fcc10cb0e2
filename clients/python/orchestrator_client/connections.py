"""The options of httpx that both clients share, and its errors."""

import ssl
from functools import cache
from typing import Any, Final

import httpx

from orchestrator_client.core.service import Service
from orchestrator_client.core.steps import Cut

# A live service sends at least a ping within the read timeout.
TIMEOUT: Final = httpx.Timeout(60, connect=10, pool=10)
LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=10)
UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def options(service: Service) -> dict[str, Any]:
    """Return the arguments of an httpx client for a service."""
    return {
        "headers": {"Accept-Encoding": "identity", "User-Agent": "orchestrator-client", **service.headers},
        "timeout": TIMEOUT,
        "limits": LIMITS,
        # The key goes to the given address only, whatever proxies the environment names.
        "trust_env": False,
        "verify": _certificates(),
    }


@cache
def _certificates() -> ssl.SSLContext:
    """Return the system's certificates, so that those of a company's own services are accepted too."""
    # Loading them takes 20 ms.
    return ssl.create_default_context()


def cut_of(error: httpx.TransportError) -> Cut:
    """Return the cut that an error of httpx means. Some errors have no text."""
    return Cut(str(error).strip() or type(error).__name__, reached=not isinstance(error, UNREACHED))
