"""Django's error pages, without its own code for the form token.

That code reads the form of the request, and fails again at a form that cannot be read.
"""

import sys
from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from storage.writer import StorageUnavailable
from web.form_origin import wrong_origin

UNAVAILABLE: Final = (OperationalError, InterfaceError, StorageUnavailable)
"""Exceptions of a database that is locked, full or gone."""


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(HTTPStatus.BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(HTTPStatus.FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(HTTPStatus.NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception.
    if not isinstance(sys.exception(), UNAVAILABLE):
        return _page(HTTPStatus.INTERNAL_SERVER_ERROR)
    page = _page(HTTPStatus.SERVICE_UNAVAILABLE)
    page["Retry-After"] = "1"
    return page


def only_post() -> HttpResponse:
    """Return the page for the address of an action that was opened as a page, such as after a new login."""
    text = "Nothing was done: this is the address of an action. Go back to its page, and press the button again."
    page = _page(HTTPStatus.METHOD_NOT_ALLOWED, text)
    page["Allow"] = "POST"
    return page


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form without its token, or from another origin."""
    own = f"{request.scheme}://{request.get_host()}"
    origin = request.META.get("HTTP_ORIGIN") or own
    # If PUBLIC_URL is HTTPS, browsers keep the cookie of the token only there.
    is_own = origin == own and not settings.PUBLIC_URL.startswith("https:")
    if is_own or origin == settings.PUBLIC_URL:
        return _page(HTTPStatus.FORBIDDEN, "The form is too old, or the browser sent no cookie. Open the page again.")
    return _page(HTTPStatus.FORBIDDEN, wrong_origin(origin, settings.PUBLIC_URL))


def _page(status: HTTPStatus, text: str = "") -> HttpResponse:
    page = render_to_string("console/error.html", {"title": status.phrase, "text": text})
    return HttpResponse(page, status=status)
