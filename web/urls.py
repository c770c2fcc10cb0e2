"""URLs of the services that the project calls."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit


def endpoint(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """Return the URL of a path below a base URL, whose own query is kept, with more of a query if there is any."""
    # Azure and its gateways need a query, such as `?api-version=2024-10-21`.
    parts = urlsplit(base_url)
    whole = "&".join(part for part in (parts.query, urlencode(query or {})) if part)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=whole))


def service_url(text: str, *, query: bool = True) -> str:
    """Return the URL of a service. Only if it may have a `query` is one accepted. Raises `ValueError`."""
    value = text.rstrip("/")
    try:
        parts = urlsplit(value)
        # `urlsplit` drops line ends and tabs, which would still be sent.
        is_whole = value.isprintable() and " " not in value
        is_url = is_whole and parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.username is not None or parts.fragment or (parts.query and not query):
        others = "a user, a password or a fragment" if query else "a user, a password, a query or a fragment"
        raise ValueError(f"must be a URL without {others}")
    return value
