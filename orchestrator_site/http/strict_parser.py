"""The parser of request bodies, as django-ninja calls it."""

from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from web import strict_json
from web.errors import CONTENT_TYPE, ApiError


class StrictParser(Parser):
    """Accepts only JSON bodies with the JSON content type, and reads them strictly."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != CONTENT_TYPE:
            # A browser sends other types across origins without a preflight request.
            error = "Unsupported media type. Send the body as Content-Type: application/json."
            raise ApiError(415, "unsupported_media_type", error)
        try:
            return strict_json.loads(request.body)
        except strict_json.NotJson as error:
            raise ApiError(400, "invalid_json", str(error)) from None
