"""Rules on a request's peer, `Host`, `Origin` and forwarding headers, before anything else is read.

Without keys they keep out other machines, other users of this one, web pages, host names that were rebound to loopback,
and proxies. With keys they check the host name and the origin (RFC 6454).
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Final

import msgspec

from web.errors import ApiError
from web.form_origin import wrong_origin
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


CONNECTION: Final = "connection"
"""The key in the state of an ASGI scope under which a server may keep a dict for one connection."""

OWN_USER: Final = "own_user"
MAX_SHOWN: Final = 80
"""Characters of an origin in an error."""

Address = tuple[str, int]
"""A host and a port."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`keyed`: callers show a key, so they may come from elsewhere, through a proxy, under the names of `hosts`.

    `is_own_user`: without keys, a caller must be no proxy, and this must be true of its address and the service's.
    `public_url` is the origin of the service, if it is configured; `origins` include it.
    """

    keyed: bool
    is_own_user: Callable[[Address, Address], bool] | None = None
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    public_url: str = ""


class RequestOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a request, before anything in it is believed. `peer` and `own` are None for a Unix socket.

    `peer` and `own` are the addresses of the connection. A connection `closes` if it is HTTP/1.0 and says so. `known`
    is kept for the requests of one connection, if the server does so.
    """

    peer: Address | None
    own: Address | None
    scheme: str
    method: str
    host: str
    origin: str
    forwarded: bool
    closes: bool = False
    known: MutableMapping[str, bool] = {}

    @classmethod
    def of(cls, scope: Mapping[str, object], headers: Headers) -> "RequestOrigin":
        """Read an ASGI connection scope."""
        return cls(
            peer=_address(scope.get("client")),
            own=_address(scope.get("server")),
            scheme=str(scope.get("scheme") or "http"),
            method=str(scope.get("method") or "GET"),
            known=_known(scope),
            host=last(headers, b"host").decode("latin-1").lower(),
            origin=last(headers, b"origin").decode("latin-1").lower(),
            closes=scope.get("http_version") == "1.0" and last(headers, b"connection").lower() == b"close",
            forwarded=any(name in FORWARDED or name.startswith((b"x-forwarded-", b"x-envoy-")) for name, _ in headers),
        )


def check(request: RequestOrigin, rules: Rules, *, is_form: bool = False) -> None:
    """Raise `ApiError` if the request is not accepted. The error for a form of the console says what to set."""
    name = _hostname(request.host)
    if not rules.keyed:
        _check_loopback(request, rules)
    elif not is_allowed(name, rules.hosts):
        raise ApiError(400, "bad_host", f"The Host header is not one of ALLOWED_HOSTS: {', '.join(rules.hosts)}.")
    # Browsers send the origin with every unsafe request, so pages of other sites are recognized by it.
    if request.origin and request.method not in SAFE_METHODS and not may_share(request, rules):
        error = (
            wrong_origin(request.origin, rules.public_url)
            if is_form
            else f"Pages of {request.origin[:MAX_SHOWN]!a} may not call the service. Add the origin to "
            "CORS_ALLOWED_ORIGINS, or set PUBLIC_URL to it if it is the service's own."
        )
        raise ApiError(403, "bad_origin", error)


def is_allowed(name: str, hosts: tuple[str, ...]) -> bool:
    """Return whether a host name without its port is one of these. `.example.org` includes every name in it."""
    return any(
        # As in Django, a domain with a dot before it is itself included.
        allowed in ("*", name, f".{name}")
        or name == allowed.strip("[]")
        or (allowed.startswith(".") and name.endswith(allowed))
        for allowed in (entry.lower() for entry in hosts)
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


def _check_loopback(request: RequestOrigin, rules: Rules) -> None:
    if request.peer and not is_loopback(request.peer[0]):
        raise ApiError(
            403, "loopback_only", "Without an API key, only callers on this machine are accepted. Create a key first."
        )
    # A page whose name was rebound to this machine's address still sends its own name (DNS rebinding).
    if not is_loopback(_hostname(request.host)):
        raise ApiError(403, "bad_host", "Without an API key, the Host header must be localhost or a loopback address.")
    if rules.is_own_user is not None:
        _check_user(request, rules.is_own_user)


def _check_user(request: RequestOrigin, is_own_user: Callable[[Address, Address], bool]) -> None:
    # nginx asks its upstream with HTTP/1.0 and `Connection: close`, unless it is configured otherwise.
    if request.forwarded or request.closes:
        raise ApiError(
            403,
            "forwarded",
            "Behind a proxy every caller looks local. Set API_KEY or create a key before you use a proxy.",
        )
    # A connection does not change its user.
    is_own = request.known.get(OWN_USER) or (request.peer and request.own and is_own_user(request.peer, request.own))
    if not is_own:
        raise ApiError(
            403,
            "other_user",
            "Without an API key, only programs of the service's own user are accepted. Set API_KEY, create a key, or "
            "set ALLOW_KEYLESS=true, which accepts all users of this machine and all callers of a proxy on it.",
        )
    request.known[OWN_USER] = True


def _known(scope: Mapping[str, object]) -> MutableMapping[str, bool]:
    state = scope.get("state")
    known = state.get(CONNECTION) if isinstance(state, dict) else None
    return known if isinstance(known, dict) else {}


def _address(found: object) -> Address | None:
    """Return an address of an ASGI connection scope; None for a Unix socket."""
    return (str(found[0]), int(found[1] or 0)) if isinstance(found, list | tuple) and len(found) > 1 else None


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    found = _HOST.fullmatch(host)
    return found[1].strip("[]") if found else ""
