"""Who asks."""

import hmac
from typing import Final

import msgspec

from access.refusal import Refusal

OPERATOR: Final = "operator"
"""The owner of what the service's own key, or a caller on its own machine, creates."""


class Caller(msgspec.Struct, frozen=True):
    """Whoever a request comes from. Sessions, runs and executions belong to `owner`."""

    owner: str


def authenticate(authorization: str, api_key: str, configured: str) -> Caller:
    """The caller who shows a key, in `Authorization: Bearer` or `X-API-Key`; anybody, where none is configured.

    Raises `Refusal` (401).
    """
    if not configured:
        return Caller(OPERATOR)
    scheme, _, bearer = authorization.partition(" ")
    shown = bearer.strip() if scheme.lower() == "bearer" else api_key.strip()
    if not shown:
        raise _unauthorized("Show the service's key: Authorization: Bearer <key>, or X-API-Key: <key>.")
    if not hmac.compare_digest(shown.encode(), configured.encode()):
        raise _unauthorized("The key is not valid.")
    return Caller(OPERATOR)


def _unauthorized(error: str) -> Refusal:
    return Refusal(401, "unauthorized", error, headers={"WWW-Authenticate": "Bearer"})
