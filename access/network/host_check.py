"""Rules on a request's peer, `Host`, `Origin` and forwarding headers, before anything else is read.

Without keys they keep out other machines, web pages, host names that were rebound to loopback, and proxies. With keys
they check the host name and the origin (RFC 6454).
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from web.errors import ApiError
from web.headers import Headers, last

FORWARDED: Final = frozenset(
    {
        b"cf-connecting-ip",
        b"cf-ray",
        b"client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-host",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    }
)
"""Headers that proxies add, besides all that begin with `x-forwarded-` or `x-envoy-`."""

# A name, an IPv4 address, or an IPv6 address in brackets, and a port (RFC 3986, section 3.2.2).
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?")

# They change nothing (RFC 9110, section 9.2.1), and a page of another origin cannot read their response.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`keyed`: callers show a key, so they may come from elsewhere, through a proxy, under the names of `hosts`."""

    keyed: bool
    hosts: tuple[str, ...]
    origins: tuple[str, ...]


class RequestOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a request, before anything in it is believed. `peer` is empty for a Unix socket."""

    peer: str
    scheme: str
    method: str
    host: str
    origin: str
    forwarded: bool

    @classmethod
    def of(cls, scope: Mapping[str, object], headers: Headers) -> "RequestOrigin":
        """Read an ASGI connection scope."""
        client = scope.get("client")
        return cls(
            peer=str(client[0]) if isinstance(client, list | tuple) else "",
            scheme=str(scope.get("scheme") or "http"),
            method=str(scope.get("method") or "GET"),
            host=last(headers, b"host").decode("latin-1").lower(),
            origin=last(headers, b"origin").decode("latin-1").lower(),
            forwarded=any(name in FORWARDED or name.startswith((b"x-forwarded-", b"x-envoy-")) for name, _ in headers),
        )


def check(request: RequestOrigin, rules: Rules) -> None:
    """Raise `ApiError` if the request is not accepted."""
    name = _hostname(request.host)
    if not rules.keyed:
        _check_loopback(request)
    elif not any(
        allowed in ("*", name) or name == allowed.strip("[]") or (allowed.startswith(".") and name.endswith(allowed))
        for allowed in (entry.lower() for entry in rules.hosts)
    ):
        raise ApiError(400, "bad_host", f"The Host header is not one of ALLOWED_HOSTS: {', '.join(rules.hosts)}.")
    # Browsers send the origin with every unsafe request, so pages of other sites are recognized by it.
    if request.origin and request.method not in SAFE_METHODS and not may_share(request, rules):
        raise ApiError(
            403,
            "bad_origin",
            "Pages of this origin may not call the service. Add the origin to CORS_ALLOWED_ORIGINS.",
        )


def may_share(request: RequestOrigin, rules: Rules) -> bool:
    """Return whether a page of the request's origin may read the response."""
    # The origin of a page is http or https, also when the page opens a WebSocket.
    scheme = {"ws": "http", "wss": "https"}.get(request.scheme, request.scheme)
    return request.origin == f"{scheme}://{request.host}" or request.origin in rules.origins


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # A socket for both versions of IP shows an IPv4 peer as ::ffff:127.0.0.1.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _check_loopback(request: RequestOrigin) -> None:
    if request.peer and not is_loopback(request.peer):
        raise ApiError(
            403, "loopback_only", "Without an API key, only callers on this machine are accepted. Create a key first."
        )
    if request.forwarded:
        raise ApiError(
            403,
            "forwarded",
            "Behind a proxy every caller looks local. Set API_KEY or create a key before you use a proxy.",
        )
    # A page whose name was rebound to this machine's address still sends its own name (DNS rebinding).
    if not is_loopback(_hostname(request.host)):
        raise ApiError(403, "bad_host", "Without an API key, the Host header must be localhost or a loopback address.")


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    found = _HOST.fullmatch(host)
    return found[1].strip("[]") if found else ""
