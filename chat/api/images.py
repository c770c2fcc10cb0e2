"""The pictures of a message: from its body, or from the workspace."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chat.api.schemas import AttachmentIn
from chat.engine.messages import Image
from tools.base import ToolError
from web.errors import ApiError

MAX_IMAGE_BYTES: Final = 8 * 2**20
DATA_URL: Final = "data:"
BASE64: Final = ";base64,"

SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


ReadFile = Callable[[str, int], Awaitable[bytes]]
"""Reads a file of the workspace, of at most so many bytes. Raises `ToolError`."""


async def images(attachments: Sequence[AttachmentIn], read_file: ReadFile) -> tuple[Image, ...]:
    """Return the pictures. Raise `ApiError`: 403 for a denied file, 422 if one is unreadable or not a picture."""
    found = []
    for attachment in attachments:
        if attachment.path is None:
            data = _decode(attachment.data_base64 or "", "The data_base64 of an attachment")
        else:
            try:
                data = await read_file(attachment.path, MAX_IMAGE_BYTES)
            except ToolError as error:
                status = 403 if error.code == "denied" else 422
                raise ApiError(status, error.code, f"The attachment cannot be read: {error}") from None
        found.append(image_of(data))
    return tuple(found)


def image_of(data: bytes) -> Image:
    """Return the picture of these bytes. Raise `ApiError` (422)."""
    if len(data) > MAX_IMAGE_BYTES:
        raise ApiError(422, "too_large", f"An attachment may have at most {MAX_IMAGE_BYTES} bytes.")
    # The declared media type is not trusted: the type is detected from the bytes.
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    found = (
        "image/webp" if is_webp else next((kind for start, kind in SIGNATURES.items() if data.startswith(start)), None)
    )
    if found is None:
        raise ApiError(422, "invalid_attachment", "An attachment must be a PNG, JPEG, GIF or WebP picture.")
    return Image(media_type=found, data=data)


def image_of_url(url: str, field: str) -> Image:
    """Return the picture of a `data:` URL (RFC 2397). Raise `ApiError` (422), which names the field."""
    head, found, data = url.partition(BASE64)
    if not found or not head.startswith(DATA_URL):
        problem = f"{field}: a picture must be a data: URL with base64; other URLs are not fetched"
        raise ApiError(422, "invalid_attachment", f"{problem}.")
    return image_of(_decode(data, f"{field}: the picture"))


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(422, "invalid_attachment", f"{what} is not base64.") from None
