"""Pictures beside a message, as they come in: from the body, or out of the workspace."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Final

from chat.api.schemas import AttachmentIn
from chat.engine.messages import Image
from tools.base import ToolError
from tools.workspace import Workspace
from web.errors import ApiError

MAX_IMAGE_BYTES: Final = 8 * 2**20

SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


async def images(attachments: Sequence[AttachmentIn], workspace: Workspace) -> tuple[Image, ...]:
    """The pictures. Raises `ApiError` (422) for what is none, or too large, or not to be read."""
    found = []
    for attachment in attachments:
        if attachment.path is not None:
            data = await asyncio.to_thread(_read, workspace, attachment.path)
        else:
            data = _decode(attachment.data_base64 or "")
        found.append(_image(data))
    return tuple(found)


def _read(workspace: Workspace, path: str) -> bytes:
    try:
        return workspace.read_bytes(path, MAX_IMAGE_BYTES)
    except ToolError as error:
        raise ApiError(422, error.code, f"The attachment cannot be read: {error}") from None


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(422, "invalid_attachment", "An attachment's data_base64 is not base64.") from None
    if len(data) > MAX_IMAGE_BYTES:
        raise ApiError(422, "too_large", f"An attachment may have at most {MAX_IMAGE_BYTES} bytes.")
    return data


def _image(data: bytes) -> Image:
    """What the bytes are is told by the bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Image(media_type="image/webp", data=data)
    for signature, media_type in SIGNATURES.items():
        if data.startswith(signature):
            return Image(media_type=media_type, data=data)
    raise ApiError(422, "invalid_attachment", "An attachment must be a PNG, JPEG, GIF or WebP picture.")
