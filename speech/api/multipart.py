"""A bounded parser of a multipart form with one file (RFC 7578) for a body that is in memory already."""

from email.message import Message
from typing import Final

import msgspec

MAX_PARTS: Final = 16
MAX_HEAD_BYTES: Final = 8 * 1_024
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
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary("")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
        raise NotMultipart(f"Content-Type has no boundary of 1 to {MAX_BOUNDARY} ASCII characters")
    parts = _parts(body, b"--" + boundary.encode())
    names = [name for name, _ in parts]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise NotMultipart(f"the field {repeated[:80]!r} occurs twice")
    if FILE not in names:
        raise NotMultipart(f"the field {FILE!r} with the audio is missing")
    fields: dict[str, str] = {}
    for name, value in parts:
        if name == FILE:
            continue
        if len(value) > MAX_FIELD_BYTES:
            raise NotMultipart(f"the field {name[:80]!r} is longer than {MAX_FIELD_BYTES} bytes")
        try:
            fields[name] = value.decode()
        except UnicodeDecodeError:
            raise NotMultipart(f"the field {name[:80]!r} is not UTF-8") from None
        # PostgreSQL rejects NUL in text, and the fields are written to the log of the call.
        if "\0" in fields[name]:
            raise NotMultipart(f"the field {name[:80]!r} has a NUL")
    return Form(dict(parts)[FILE], fields)


def _parts(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    """Return the names and values of the fields in their order."""
    # Every boundary except the first follows a line break that belongs to the boundary (RFC 2046, section 5.1.1).
    place = 0 if body.startswith(boundary) else body.find(b"\r\n" + boundary) + 2
    if not body.startswith(boundary, place):
        raise NotMultipart("the boundary of Content-Type does not occur in it")
    found: list[tuple[str, bytes]] = []
    place += len(boundary)
    while not body.startswith(b"--", place):
        if len(found) == MAX_PARTS:
            raise NotMultipart(f"it has more than {MAX_PARTS} fields")
        head_end = body.find(b"\r\n\r\n", place, place + MAX_HEAD_BYTES)
        if head_end < 0:
            raise NotMultipart(f"a field's head does not end within {MAX_HEAD_BYTES} bytes")
        end = body.find(b"\r\n" + boundary, head_end + 2)
        if end < 0:
            raise NotMultipart("it ends inside a field")
        found.append((_name(body[place:head_end]), body[head_end + 4 : end]))
        place = end + 2 + len(boundary)
    return found


def _name(head: bytes) -> str:
    message = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            message["Content-Disposition"] = value.strip()
    found = message.get_param("name", header="Content-Disposition")
    if not isinstance(found, str) or not found:
        raise NotMultipart("a field has no name")
    return found
