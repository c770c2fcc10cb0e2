"""HTTP to the host of a repository, with its token. Nothing of this is read from a workspace."""

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from access.network.outgoing_proxy import outgoing_proxy
from tools.base import ToolError

if TYPE_CHECKING:
    import aiohttp

KIB: Final = 1024
BLOCK_BYTES: Final = 64 * KIB
MAX_JSON_BYTES: Final = 4 * KIB * KIB
CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
CREDENTIALS: Final = ("Authorization", "Private-Token")
"""The headers of requests with a token."""

AGENT: Final = "git/2.40 orchestrator-service"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request, read to its end."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; None if it is not."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


class Connection:
    """Requests to one host and its API. Redirects are refused, because a token must not follow them."""

    def __init__(self, session: "aiohttp.ClientSession", host: str) -> None:
        self._session = session
        self._host = host

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_JSON_BYTES,
        into: IO[bytes] | None = None,
        is_prefix: bool = False,
    ) -> Answer:
        """Return the answer of at most `max_bytes`; if it `is_prefix`, the first bytes of a longer one.

        If it is a success, its body is written `into` a file instead.

        Raises `ToolError` (`failed`, `timed_out`, `too_large`).
        """
        import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers={"User-Agent": AGENT, **headers},
                allow_redirects=False,
                proxy=outgoing_proxy(url),
            ) as response:
                if 300 <= response.status < 400:
                    raise ToolError(
                        f"{self._host} redirects to another address, which is not followed: use that address, if the "
                        "repository was moved.",
                        code="failed",
                    )
                kept, size = bytearray(), 0
                async for block in response.content.iter_chunked(BLOCK_BYTES):
                    size += len(block)
                    if size > max_bytes and is_prefix:
                        kept += block
                        break
                    if size > max_bytes:
                        raise ToolError(
                            f"{self._host} sends more than {max_bytes} bytes, which is the limit.", code="too_large"
                        )
                    if into is None or response.status >= 300:
                        kept += block
                    else:
                        into.write(block)
                shown = _without_credentials(bytes(kept[:max_bytes]), headers)
                return Answer(status=response.status, body=shown)
        except TimeoutError as error:
            raise ToolError(f"{self._host} did not answer in time.", code="timed_out") from error
        # The text of such an error may repeat a header or a URL.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ToolError(f"The request to {self._host} failed: {type(error).__name__}.", code="failed") from error


def _without_credentials(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a body without the credentials of its request."""
    # A host may repeat them in an error, which is shown to the model and stored.
    for name in CREDENTIALS:
        scheme, _, value = headers.get(name, "").rpartition(" ")
        decoded = base64.b64decode(value).rpartition(b":")[2] if scheme == "Basic" else b""
        for secret in filter(None, (value.encode(), decoded)):
            body = body.replace(secret, b"[secret]")
    return body


@asynccontextmanager
async def connected(host: str) -> AsyncIterator[Connection]:
    """Open connections to a host for one call of a tool."""
    import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=_tls_context()),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        # No `.netrc`: a token comes from the settings only.
        trust_env=False,
    ) as session:
        yield Connection(session, host)


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the TLS settings. `SSL_CERT_FILE` names certificates, as for every program."""
    return ssl.create_default_context()
