"""URLs of the services that the project calls."""

from urllib.parse import urlsplit, urlunsplit


def endpoint(base_url: str, path: str) -> str:
    """Return the URL of a path below a base URL, whose own query is kept."""
    # Azure and its gateways need a query, such as `?api-version=2024-10-21`.
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
