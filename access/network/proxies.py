"""Where a request comes from, told by the connection, and beyond it by proxies that are trusted and by nobody else."""

import ipaddress
from functools import lru_cache
from typing import Final

from web.headers import Headers, values

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = tuple[Network, ...]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADER: Final = b"x-forwarded-for"
MAX_HOPS: Final = 32
PREFIX_BITS: Final = 64
"""Of an IPv6 address: one subscriber has all that share them (RFC 6177)."""


def networks(text: str) -> Networks:
    """Addresses and networks, between commas. Raises `ValueError`."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"name addresses or networks such as 127.0.0.1 or 10.0.0.0/8 ({error})") from None


def is_trusted(peer: str, trusted: Networks) -> bool:
    """Whether the peer is one of the proxies that are believed."""
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


def client(peer: str, headers: Headers, trusted: Networks) -> str:
    """The caller's address: the peer's, or what trusted proxies have written into `X-Forwarded-For`, from its right.

    What stands left of an address that is not trusted was written by whoever that is.
    """
    found = peer
    if not trusted:
        return found
    hops = b",".join(values(headers, HEADER)).decode("latin-1").split(",")
    for hop in reversed(hops[-MAX_HOPS:]):
        address = _address(found)
        if address is None or not any(address in network for network in trusted):
            break
        further = _address(hop.strip())
        if further is None:
            break
        found = str(further)
    return found


@lru_cache(maxsize=1_024)
def subscriber(address: str) -> str:
    """What requests are counted by: the address, or of an IPv6 one the network of its subscriber."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, PREFIX_BITS), strict=False))
    return str(found or "unknown")


def _address(text: str) -> Address | None:
    """The address that the text is, with or without a port; an IPv4 one also where it is written as IPv6."""
    bare = text.removeprefix("[").split("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.split(":")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
