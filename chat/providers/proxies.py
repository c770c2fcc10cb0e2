"""Proxies on the way to a service, as the variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name them."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from access.network.host_check import is_loopback

DEFAULT_PORT: Final = 3128
MAX_HEAD_BYTES: Final = 16 * 1_024
END_OF_HEAD: Final = b"\r\n\r\n"


class Proxy(msgspec.Struct, frozen=True):
    """A proxy's host and port, and the headers that it wants."""

    address: tuple[str, int]
    headers: Mapping[str, str]


def proxy_for(scheme: str, host: str) -> Proxy | None:
    """Return the proxy for a service, or None. This machine is always reached directly."""
    found = urlsplit(getproxies().get(scheme, ""))
    if not found.hostname or is_loopback(host) or proxy_bypass(host):
        return None
    headers = {}
    if found.username is not None:
        user = f"{unquote(found.username)}:{unquote(found.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return Proxy((found.hostname, found.port or DEFAULT_PORT), headers)


class Tunnel(asyncio.Protocol):
    """The beginning of a connection through a proxy, before TLS."""

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._head = b""

    async def open(self, target: str, headers: Mapping[str, str]) -> None:
        """Ask the proxy for a tunnel to `host:port`. Raise `ConnectionError` if it refuses."""
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *(f"{name}: {headers[name]}" for name in headers)]
        if self._transport is not None:
            self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, as the protocol's type cannot say

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._opened.done():
            return
        if END_OF_HEAD in self._head:
            status = self._head.split(b" ", 2)[1:2]
            if status == [b"200"]:
                self._opened.set_result(None)
            else:
                answered = b" ".join(status).decode("latin-1")[:3]
                self._opened.set_exception(ConnectionError(f"the proxy answered {answered} instead of a tunnel"))
        elif len(self._head) > MAX_HEAD_BYTES:
            self._opened.set_exception(ConnectionError("the proxy's answer is too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionError("the proxy closed the connection"))
