"""Django's error pages, without its own code for the form token.

That code reads the form of the request, and fails again at a form that cannot be read.
"""

import sys
from http import HTTPStatus
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from storage.writer import StorageUnavailable

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


def _page(status: HTTPStatus) -> HttpResponse:
    text = f'<!doctype html>\n<html lang="en">\n<title>{status.phrase}</title>\n<h1>{status.phrase}</h1>\n</html>\n'
    return HttpResponse(text, status=status)
