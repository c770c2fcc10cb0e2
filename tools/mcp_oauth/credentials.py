"""The credentials of an owner for an MCP server: the client that asks for them, and the tokens."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

PORTS: Final = {"http": 80, "https": 443}


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The registration of this service as a client of an authorization server. The secret may be empty."""

    issuer: str
    resource: str
    scope: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    client_id: str
    client_secret: str
    method: str
    names_issuer: bool

    def is_for(self, url: str) -> bool:
        """Return whether the URL of a server is the resource that tokens of this client are for, or is below it."""
        own, other = urlsplit(self.resource), urlsplit(url)
        origins = {(parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)) for parts in (own, other)}
        return len(origins) == 1 and f"{other.path.rstrip('/')}/".startswith(f"{own.path.rstrip('/')}/")


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of an owner. `expires` is the time (Unix, seconds) after which the access token is not used."""

    access: str
    refresh: str
    expires: float
