"""The credentials of an owner for an MCP server: the client that asks for them, and the tokens."""

import msgspec


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


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of an owner. `expires` is the time (Unix, seconds) after which the access token is not used."""

    access: str
    refresh: str
    expires: float
