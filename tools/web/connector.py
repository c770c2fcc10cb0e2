"""Connections to public addresses only: a host is resolved once, and exactly the checked addresses are connected to."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tools.web.addresses import is_public

if TYPE_CHECKING:
    import aiohttp

MAX_ADDRESSES: Final = 8
CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 15.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host. Raises `OSError` if there are none."""

Permitted = Callable[[str], bool]
"""Returns whether an address may be connected to."""


class RefusedAddressError(OSError):
    """A host has an address that may not be connected to."""


async def local_addresses(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as all programs find them, with the search list of resolv.conf."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def system_addresses(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as this machine resolves it."""
    # The dot at the end keeps the search list of resolv.conf out of it, which would lead to hosts of the own network.
    return await local_addresses(f"{host}.", port)


def is_public_elsewhere(address: str) -> bool:
    """Return whether an address is public, and not one of this machine."""
    return is_public(address) and not is_own(address)


class Guard:
    """The resolver and the sockets of one connection. `permitted` decides about each address."""

    def __init__(self, resolve: Resolve, permitted: Permitted) -> None:
        self._resolve = resolve
        self._permitted = permitted
        self.has_refused = False

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[dict[str, Any]]:
        """Return the addresses of a host for aiohttp. Raises `RefusedAddressError` if any may not be connected to."""
        addresses = list(await self._resolve(host, port))
        # One address inside is enough: a host of the web has none.
        if not addresses or not all(map(self._permitted, addresses)):
            self.has_refused = bool(addresses)
            raise RefusedAddressError
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for address in addresses[:MAX_ADDRESSES]
        ]

    async def close(self) -> None:
        """Do nothing, because a guard keeps nothing open."""

    def socket(self, address_info: tuple[Any, Any, Any, str, Any]) -> socket.socket:
        """Return a socket for exactly the address that it is about to connect to. Raises `RefusedAddressError`."""
        family, kind, protocol, _, sockaddr = address_info
        # aiohttp does not resolve a host that is an address, so this is the only check that covers all ways.
        if family not in {socket.AF_INET, socket.AF_INET6} or not self._permitted(str(sockaddr[0])):
            self.has_refused = True
            raise RefusedAddressError
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def open_session(guard: Guard, tls: ssl.SSLContext | None = None) -> "aiohttp.ClientSession":
    """Return a session for one request: no cookies, proxies, `.netrc`, kept connections or automatic decompression."""
    import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

    connector = aiohttp.TCPConnector(
        resolver=guard,  # type: ignore[arg-type]  # its base class would load aiohttp
        socket_factory=guard.socket,
        use_dns_cache=False,
        force_close=True,
        ssl=tls or _tls_context(),
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
        trust_env=False,
        auto_decompress=False,
    )
    # By default a PUT or DELETE is sent again if the connection ends before the answer, so it could have two effects.
    session._retry_connection = False
    return session


def is_own(address: str) -> bool:
    """Return whether an address belongs to this machine: packets to it would have it as their source."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        # Connecting a UDP socket chooses the source address, and sends nothing.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 443))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        # There is no route, so no connection can be made either.
        return False


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the TLS settings. `SSL_CERT_FILE` names certificates, as for every program."""
    return ssl.create_default_context()
