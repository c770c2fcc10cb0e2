"""The form of a transcription: one file and a few short fields (RFC 7578)."""

from io import BytesIO
from typing import Final

import msgspec
from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartParser,
    parse_options_header,
)

MAX_PARTS: Final = 16
MAX_FIELD_BYTES: Final = 8 * 1_024
# RFC 2046, section 5.1.1.
MAX_BOUNDARY: Final = 70

FILE: Final = "file"


class NotMultipart(Exception):
    """The body is not a form with a file; the message gives the reason."""


class Form(msgspec.Struct, frozen=True):
    """A parsed form: the file, and the other fields by name."""

    file: bytes
    fields: dict[str, str]


def parse(body: bytes, content_type: str) -> Form:
    """Parse a body. Raises `NotMultipart`."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise NotMultipart(f"Content-Type has no boundary of 1 to {MAX_BOUNDARY} ASCII characters")
    # Everything stays in memory, where the body is already: by default a long part is written to a file.
    whole = len(body) + 1
    reader = MultipartParser(BytesIO(body), boundary, part_limit=MAX_PARTS, spool_limit=whole, memory_limit=whole)
    try:
        parts = [(part.name, part.raw) for part in reader]
    except (MultipartError, UnicodeDecodeError) as error:
        raise NotMultipart(str(error)) from None
    names = [name for name, _ in parts]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise NotMultipart(f"the field {repeated[:80]!r} occurs twice")
    if not all(names):
        raise NotMultipart("a field has no name")
    if FILE not in names:
        raise NotMultipart(f"the field {FILE!r} with the audio is missing")
    fields = {name: _text(name, value) for name, value in parts if name != FILE}
    return Form(dict(parts)[FILE], fields)


def _text(name: str, value: bytes) -> str:
    if len(value) > MAX_FIELD_BYTES:
        raise NotMultipart(f"the field {name[:80]!r} is longer than {MAX_FIELD_BYTES} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise NotMultipart(f"the field {name[:80]!r} is not UTF-8") from None
    # PostgreSQL rejects NUL in text, and the fields are written to the log of the call.
    if "\0" in text:
        raise NotMultipart(f"the field {name[:80]!r} has a NUL")
    return text
