"""Requests to the authorization server of an MCP server, whose address the MCP server names: guarded and bounded.

OAuthFailed          authorization is not possible now
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from tools.web.connector import Guard, is_public_elsewhere, local_addresses, open_session, system_addresses
from tools.web.robots import PRODUCT

MAX_BYTES: Final = 256 * 1024
SECONDS: Final = 15.0
BLOCK_BYTES: Final = 16 * 1024
NOT_HTTPS: Final = "The authorization server has a URL that is not https, which is not used."


class OAuthFailed(Exception):
    """Authorization is not possible now. The message is a sentence without a secret."""


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply: `challenge` is its field `WWW-Authenticate`."""

    status: int
    challenge: str
    data: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object of the reply; empty if it is none."""
        try:
            found = msgspec.json.decode(self.data)
        except (msgspec.DecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class GuardedHttp:
    """Sends requests for one MCP server, which the operator has named.

    Its own host is reached wherever it is, and others only by https at public addresses: their names come from the
    server. Redirects are not followed.
    """

    def __init__(self, server_url: str) -> None:
        self._own_host = urlsplit(server_url).hostname

    def allows(self, url: str) -> bool:
        """Return whether a URL has a form that is used: https, or the server's own host."""
        try:
            parts = urlsplit(url)
            schemes = {"http", "https"} if parts.hostname == self._own_host else {"https"}
        except ValueError:
            return False
        return bool(parts.hostname) and parts.username is None and parts.scheme in schemes

    async def get(self, url: str) -> HttpReply:
        """Return the reply to a GET. Raises `OAuthFailed`."""
        return await self._send("GET", url, None, {})

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> HttpReply:
        """Return the reply to a form. Raises `OAuthFailed`."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._send("POST", url, urlencode(form).encode(), {**kind, **headers})

    async def post_json(self, url: str, body: Any) -> HttpReply:
        """Return the reply to a JSON body. Raises `OAuthFailed`."""
        return await self._send("POST", url, msgspec.json.encode(body), {"Content-Type": "application/json"})

    async def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> HttpReply:
        import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

        if not self.allows(url):
            raise OAuthFailed(NOT_HTTPS)
        host = urlsplit(url).hostname
        is_own = host == self._own_host
        resolve = local_addresses if is_own else system_addresses
        guard = Guard(resolve, (lambda _: True) if is_own else is_public_elsewhere)
        own = {"User-Agent": PRODUCT, "Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(SECONDS),
                open_session(guard) as session,
                session.request(method, url, data=body, headers={**own, **headers}, allow_redirects=False) as reply,
            ):
                data = bytearray()
                async for block in reply.content.iter_chunked(BLOCK_BYTES):
                    data += block
                    if len(data) > MAX_BYTES:
                        raise OAuthFailed(f"{host} sent more than {MAX_BYTES} bytes.")
                return HttpReply(
                    status=reply.status, challenge=reply.headers.get("WWW-Authenticate", ""), data=bytes(data)
                )
        except TimeoutError:
            raise OAuthFailed(f"{host} did not answer within {SECONDS:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if guard.has_refused:
                raise OAuthFailed(f"{host} has an address that is not public, which is not connected to.") from None
            # Only the kind of the error: its text may repeat what the host sent.
            raise OAuthFailed(f"The request to {host} failed ({type(error).__name__}).") from None
