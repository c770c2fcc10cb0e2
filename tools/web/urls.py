"""URLs of the web that may be fetched, in the one form that is checked, shown and sent."""

import re
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Final

import msgspec
from yarl import URL

from tools.base import ToolError
from tools.web.addresses import is_public

MAX_URL: Final = 2_000
MAX_HOST: Final = 253
MAX_HOSTS: Final = 1_000
DEFAULT_PORTS: Final = (80, 443)
# Space, controls and the backslash, which some parsers read as a slash. So are the invisible characters of Unicode.
FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
NAME: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# A host whose last label is a number is an IPv4 address (WHATWG URL, "ends in a number"), however it is written.
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean this machine or its network (RFC 6761, RFC 6762, RFC 8375, and .internal, which ICANN reserves).
LOCAL_NAMES: Final = ("localhost", "local", "internal", "home.arpa", "localdomain")
HOST_PATTERN: Final = re.compile(r"([a-z0-9*?._-]{1,253})(?::([1-9][0-9]{0,4}))?")


class WebUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A checked URL. `text` has no fragment, and is sent as it is. An IPv6 `host` has no brackets."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> str:
        """The URL's beginning, without the path."""
        return str(URL(self.text).origin())


class AllowedHosts(msgspec.Struct, frozen=True):
    """Patterns of hosts, and their ports. Without any, all hosts are allowed at the default ports."""

    patterns: tuple[tuple[str, int | None], ...] = ()

    def allow(self, host: str, port: int) -> bool:
        """Return whether a host may be reached at a port."""
        return any(
            fnmatchcase(host, pattern) and (port in DEFAULT_PORTS if own is None else port == own)
            for pattern, own in self.patterns or (("*", None),)
        )


def allowed_hosts(text: str) -> AllowedHosts:
    """Parse the hosts that may be reached, separated by commas. Raises `ValueError` with the valid values."""
    patterns: list[tuple[str, int | None]] = []
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        match = HOST_PATTERN.fullmatch(part)
        port = int(match[2]) if match and match[2] else None
        if not match or (port or 0) > 65_535 or len(patterns) == MAX_HOSTS:
            raise ValueError(
                f"it must be at most {MAX_HOSTS} hosts, such as docs.example.org, *.example.org or example.org:8443, "
                f"separated by commas, unlike {part[:80]!r}"
            )
        patterns.append((match[1], port))
    return AllowedHosts(tuple(patterns))


def parse_url(text: str, allowed: AllowedHosts) -> WebUrl:
    """Return a URL that may be fetched, as far as its text shows. Raises `ToolError` (`invalid_params`, `not_allowed`).

    The addresses of its host are checked when it is connected to.
    """
    # No message repeats the URL: it may have a password, and hostile text.
    if len(text) > MAX_URL:
        raise ToolError(f"The URL is longer than {MAX_URL} characters.", code="invalid_params")
    if FORBIDDEN.search(text) or not text.isprintable():
        raise ToolError("The URL has a space, a backslash or an invisible character.", code="invalid_params")
    if not re.match(r"https?://[^/?#]", text, re.IGNORECASE):
        raise ToolError("The URL must start with http:// or https:// and a host.", code="invalid_params")
    if "@" in re.split(r"[/?#]", text, maxsplit=3)[2]:
        raise ToolError("The URL must have no user and no password.", code="not_allowed")
    try:
        # The canonical text is parsed again, so that exactly the checked text is sent.
        url = URL(str(URL(text).with_fragment(None)), encoded=True)
        host, port = (url.raw_host or "").lower().removesuffix("."), url.port or 0
        is_checked = url.raw_user is None and url.raw_password is None and len(str(url)) <= 3 * MAX_URL
    except ValueError:
        raise ToolError("The URL cannot be parsed.", code="invalid_params") from None
    if not is_checked or not _is_host(host):
        raise ToolError("The URL must name a public host, such as www.example.org.", code="not_allowed")
    if not allowed.allow(host, port):
        valid = "WEB_ALLOW_HOSTS lists the valid ones" if allowed.patterns else "only ports 80 and 443 are"
        raise ToolError(f"{host} at port {port} is not allowed: {valid}.", code="not_allowed")
    url = url.with_host(host) if host != url.raw_host else url
    return WebUrl(text=str(url), scheme=url.scheme, host=host, port=port)


def redirected(url: WebUrl, location: str, allowed: AllowedHosts) -> WebUrl:
    """Return where a redirect leads. Raises `ToolError`.

    A rule of the policy and an approval are about one host, so only redirects to the same host are followed.
    """
    try:
        joined = str(URL(url.text, encoded=True).join(URL(location))) if not FORBIDDEN.search(location) else location
    except ValueError:
        raise ToolError(f"{url.host} redirects to a URL that cannot be parsed.", code="failed") from None
    try:
        target = parse_url(joined, allowed)
    except ToolError as error:
        raise ToolError(f"{url.host} redirects to a URL that is refused. {error}", code=error.code) from None
    if url.scheme == "https" and target.scheme == "http":
        raise ToolError(f"{url.host} redirects from https to http, which is not followed.", code="not_allowed")
    if target.host != url.host:
        raise ToolError(
            f"{url.host} redirects to another host, which is not followed. Call web.fetch with {target.text} if you "
            "want that page.",
            code="not_allowed",
        )
    return target


def _is_host(host: str) -> bool:
    """Return whether a host is a name that is not local, or a public address in its usual form."""
    if ":" in host or NUMBER.fullmatch(host.rpartition(".")[2]):
        # Octal, hexadecimal, short and decimal forms are not addresses for `ip_address`, so they are refused.
        try:
            return is_public(str(ip_address(host)))
        except ValueError:
            return False
    is_local = any(host == name or host.endswith(f".{name}") for name in LOCAL_NAMES)
    return len(host) <= MAX_HOST and NAME.fullmatch(host) is not None and not is_local
