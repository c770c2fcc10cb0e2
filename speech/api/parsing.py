"""The parser of transcription requests."""

from typing import Final

from django.http import HttpRequest
from pydantic import ValidationError

from speech.api.multipart import Form, NotMultipart, parse
from speech.api.schemas import WITHOUT_EFFECT, TranscriptionFields
from speech.requests import TranscriptionRequest
from web.errors import ApiError
from web.validation import invalid_fields

MULTIPART: Final = "multipart/form-data"
AUDIO: Final = ("audio/", "video/")
OTHER: Final = frozenset({"", "application/octet-stream", "application/ogg", "application/mp4"})
"""Other media types of recordings. A body without one may be anything (RFC 9110, section 8.3)."""


def parse_transcription(request: HttpRequest) -> TranscriptionRequest:
    """Return the transcription that the HTTP request describes. Raises `ApiError` (400, 415, 422)."""
    content_type = (request.content_type or "").lower()
    if content_type == MULTIPART:
        try:
            form = parse(request.body, request.headers.get("Content-Type", ""))
        except NotMultipart as error:
            raise ApiError(400, "invalid_multipart", f"The body is not a form with a file: {error}.") from None
    elif content_type.startswith(AUDIO) or content_type in OTHER:
        form = Form(request.body, {name: value for name, value in request.GET.items() if isinstance(value, str)})
    else:
        raise ApiError(
            415,
            "unsupported_media_type",
            f"Unsupported Content-Type. Send {MULTIPART} with the field file, or audio/*.",
        )
    try:
        fields = TranscriptionFields.model_validate(form.fields)
    except ValidationError as error:
        raise invalid_fields(error.errors()) from None
    # HTML forms send an empty string for a field that is left blank.
    options = {name: value or None for name, value in fields.dict(exclude=WITHOUT_EFFECT).items()}
    return TranscriptionRequest(audio=form.file, **options)
