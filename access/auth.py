"""Authentication of API requests, as django-ninja runs it before a view."""

from typing import Any

from django.http import HttpRequest
from ninja.security.base import AuthBase

from access import authenticator
from access.authenticator import ClientInfo
from access.caller import Caller


class KeyAuth(AuthBase):
    """Sets `request.auth` to the `Caller` if it has at least one of the scopes; without scopes any key is enough.

    Raises `ApiError` (400, 401, 403, 429) and `StorageUnavailable`.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.words = words

    async def __call__(self, request: HttpRequest) -> Any:
        scope: Any = request.scope  # type: ignore[attr-defined]  # every request of ours came over ASGI
        return await authenticator.current().admit(ClientInfo.of(scope), self.words)


def caller(request: HttpRequest) -> Caller:
    """Return the caller that `KeyAuth` authenticated."""
    found: Caller = request.auth  # type: ignore[attr-defined]  # ninja sets it on every authenticated request
    return found
