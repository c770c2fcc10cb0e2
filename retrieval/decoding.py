"""The text of a file's bytes."""

import codecs
from typing import Final

from retrieval.base import DocumentError

HEAD_BYTES: Final = 8 * 1024
MARKS: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def decoded(data: bytes) -> str:
    """Return the text. Bytes that are not UTF-8 become U+FFFD. Raises `DocumentError` for a binary file."""
    encoding = MARKS.get(data[:2])
    if encoding:
        text = data.decode(encoding, "replace").removeprefix("\ufeff")
        if "\0" not in text[:HEAD_BYTES]:
            return text.replace("\0", "\ufffd")
    if b"\0" in data[:HEAD_BYTES]:
        raise DocumentError("It is a binary file.")
    return data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\0", "\ufffd")
