"""Middleware for the input of the admin pages: long searches are cut, and malformed values are answered with 400."""

from collections.abc import Callable
from itertools import islice
from typing import Final

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.utils.text import smart_split

from web.errors import CONTENT_TYPE, ApiError

MALFORMED: Final = (ValidationError, ValueError, OverflowError, DataError, FieldDoesNotExist)
"""Exceptions of Django's admin for an unknown field, and for a value that a field or the database cannot take."""


SEARCH: Final = "q"
MAX_SEARCH_CHARS: Final = 1_000
MAX_SEARCH_WORDS: Final = 10
"""Words of a search that count. Each is a condition on each field, and databases limit the size of a statement."""


class MalformedInput:
    """Sends the API's error for input that no field can take. Other exceptions stay errors of the service."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        searched = request.GET.get(SEARCH, "")
        words = list(islice(smart_split(searched[:MAX_SEARCH_CHARS]), MAX_SEARCH_WORDS + 1))
        if len(searched) > MAX_SEARCH_CHARS or len(words) > MAX_SEARCH_WORDS:
            query = request.GET.copy()
            query[SEARCH] = " ".join(words[:MAX_SEARCH_WORDS])
            request.GET = query  # type: ignore[assignment]  # Django's own way to change it
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the response for an exception of a view; None to leave it to Django."""
        is_given = bool(request.GET or request.POST or (request.resolver_match and request.resolver_match.kwargs))
        if not (isinstance(exception, MALFORMED) and is_given):
            return None
        refusal = ApiError(400, "bad_request", "An id, a number or a text of the request is malformed.")
        return HttpResponse(refusal.body(), status=refusal.status, content_type=CONTENT_TYPE)
