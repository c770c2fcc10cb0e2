"""The pictures that a message may have, by the first bytes of their files."""

from typing import Final

from chat.engine.messages import Image
from web.errors import ApiError

MAX_IMAGE_BYTES: Final = 8 * 2**20
SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


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
