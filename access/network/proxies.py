"""Headers of trusted proxies: the client's address in `X-Forwarded-For`, and a root path in `X-Forwarded-Prefix`."""

import ipaddress
import re
from functools import lru_cache
from typing import Final

from web.headers import Headers, values

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = tuple[Network, ...]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADER: Final = b"x-forwarded-for"
MAX_HOPS: Final = 32
PREFIX: Final = b"x-forwarded-prefix"
# Segments without a character that means something in a URL, a header or HTML. None is `.` or `..`.
_ROOT_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
MAX_ROOT_PATH_CHARS: Final = 200
PREFIX_BITS: Final = 64
"""Bits of an IPv6 address that one subscriber shares (RFC 6177)."""


def networks(text: str) -> Networks:
    """Parse addresses and networks, separated by commas. Raises `ValueError`."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"name addresses or networks such as 127.0.0.1 or 10.0.0.0/8 ({error})") from None


def is_trusted(peer: str, trusted: Networks) -> bool:
    """Return whether the peer is a trusted proxy."""
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


def client(peer: str, headers: Headers, trusted: Networks) -> str:
    """Return the client's address: the peer, or what trusted proxies wrote into `X-Forwarded-For`, from the right."""
    found = peer
    if not trusted:
        return found
    hops = b",".join(values(headers, HEADER)).decode("latin-1").split(",")
    for hop in reversed(hops[-MAX_HOPS:]):
        address = _address(found)
        # An untrusted host could have written anything to the left of its address.
        if address is None or not any(address in network for network in trusted):
            break
        further = _address(hop.strip())
        if further is None:
            break
        found = str(further)
    return found


def root_path(text: str) -> str:
    """Parse a root path such as `/agent`, which may be empty. Raises `ValueError`."""
    path = text.rstrip("/")
    if path and (len(path) > MAX_ROOT_PATH_CHARS or not _ROOT_PATH.fullmatch(path)):
        raise ValueError("it must be a path such as /agent, of letters, digits and . _ ~ -")
    return path


def prefix(headers: Headers) -> str:
    """Return the root path that proxies report: their prefixes, the outermost first. Empty if they report none."""
    parts = b",".join(values(headers, PREFIX)).decode("latin-1").split(",")
    try:
        return root_path("".join(part.strip().rstrip("/") for part in parts))
    except ValueError:
        return ""


@lru_cache(maxsize=1_024)
def subscriber(address: str) -> str:
    """Return the unit that attempts are counted by: an IPv4 address, or the network of an IPv6 address."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, PREFIX_BITS), strict=False))
    return str(found or "unknown")


def _address(text: str) -> Address | None:
    """Parse an address with or without a port; an IPv4 address written as IPv6 becomes IPv4."""
    bare = text.removeprefix("[").split("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.split(":")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
