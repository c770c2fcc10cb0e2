"""The MCP server as a protected resource (RFC 9728): its URL, its scopes and how to send a key."""

from typing import Any, Final

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.urls import get_script_prefix

from access import scopes
from web.errors import ApiError

NAME: Final = "Orchestrator Service"
PATH: Final = "mcp"
METADATA: Final = f".well-known/oauth-protected-resource/{PATH}"


def metadata_of(request: HttpRequest) -> dict[str, Any]:
    """Return the metadata, with the URLs under which the client sees the service. Raises `ApiError` (400)."""
    base = _base(request)
    return {
        "resource": base + PATH,
        "resource_name": NAME,
        "resource_documentation": f"{base}docs",
        "bearer_methods_supported": ["header"],
        "scopes_supported": [*scopes.WORDS, scopes.TOOLS],
    }


def challenge_of(request: HttpRequest) -> str:
    """Return the value of `WWW-Authenticate` for a request to the MCP server without a valid key."""
    try:
        return f'Bearer resource_metadata="{_base(request)}{METADATA}"'
    except ApiError:
        return "Bearer"


def _base(request: HttpRequest) -> str:
    """Return the URL of the service, with a slash at its end. Raises `ApiError` (400)."""
    try:
        origin = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        raise ApiError(400, "bad_host", "The Host header is not one of ALLOWED_HOSTS.") from None
    return f"{origin}{get_script_prefix()}"
