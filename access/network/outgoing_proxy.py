"""The proxy on the way to another service, as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name it."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from access.network.host_check import is_loopback


def outgoing_proxy(url: str) -> str | None:
    """Return the proxy of the environment for a URL. This machine is always reached directly."""
    parts = urlsplit(url)
    found = getproxies().get(parts.scheme)
    host = parts.hostname or ""
    return None if not found or is_loopback(host) or proxy_bypass(host) else found
