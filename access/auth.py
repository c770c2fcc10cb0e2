"""Authentication of API requests, as django-ninja runs it before a view."""

from typing import Any

from django.http import HttpRequest
from ninja.security.base import AuthBase

from access import conf
from access.callers import Caller, authenticate


class KeyAuth(AuthBase):
    """Sets `request.auth` to the `Caller`, or raises `Refusal` (401)."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    async def __call__(self, request: HttpRequest) -> Any:
        headers = request.META
        return authenticate(headers.get("HTTP_AUTHORIZATION", ""), headers.get("HTTP_X_API_KEY", ""), conf.api_key())


def caller(request: HttpRequest) -> Caller:
    """The caller whom `KeyAuth` let in."""
    found: Caller = request.auth  # type: ignore[attr-defined]  # ninja sets it on every authenticated request
    return found
