"""The pictures of a message: from its body, or from the workspace."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chat.api.request_schemas import AttachmentIn
from chat.engine.messages import Image
from chat.history.pictures import MAX_IMAGE_BYTES, image_of
from tools.base import ToolError
from web.errors import ApiError

DATA_URL: Final = "data:"
BASE64: Final = ";base64,"

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
