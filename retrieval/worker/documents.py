"""The text of PDF and DOCX files. Their parsers run only in a worker."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any, Final

from retrieval.base import DocumentError
from retrieval.limits import MAX_EXTRACTED_CHARS, MIB

INSTALL: Final = "run uv sync --extra documents --no-dev --inexact"
MAX_PAGES: Final = 2_000
MAX_UNPACKED_BYTES: Final = 64 * MIB
"""Bytes of all parts of a DOCX file, and of one of a PDF file."""

MAX_PARTS: Final = 5_000


def pdf_pages(data: bytes) -> Iterator[str]:
    """Yield the text of each page. Raises `DocumentError`."""
    try:
        from pypdf import PdfReader  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise DocumentError(f"PDF files need pypdf; {INSTALL}.") from error
    reader = PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("It is encrypted.")
    left = MAX_EXTRACTED_CHARS
    for page in reader.pages[:MAX_PAGES]:
        text = page.extract_text()[:left]
        left -= len(text)
        yield text
        if left <= 0:
            return


def docx_text(data: bytes) -> str:
    """Return the text, with headings as in Markdown. Raises `DocumentError`."""
    try:
        import docx  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise DocumentError(f"DOCX files need python-docx; {INSTALL}.") from error
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        sizes = [part.file_size for part in parts.infolist()]
    if len(sizes) > MAX_PARTS or sum(sizes) > MAX_UNPACKED_BYTES:
        raise DocumentError(f"It unpacks to more than {MAX_UNPACKED_BYTES} bytes or {MAX_PARTS} parts.")
    blocks: list[str] = []
    left = MAX_EXTRACTED_CHARS
    for block in docx.Document(io.BytesIO(data)).iter_inner_content():
        text = _block(block)[:left]
        left -= len(text)
        blocks.append(text)
        if left <= 0:
            break
    return "\n\n".join(blocks)


def _block(block: Any) -> str:
    """Return the text of a paragraph or a table."""
    if hasattr(block, "rows"):
        return "\n".join(" | ".join(cell.text for cell in row.cells) for row in block.rows)
    style = block.style.name if block.style is not None else ""
    level = style.removeprefix("Heading ")
    if style == "Title":
        return f"# {block.text}"
    return f"{'#' * min(int(level), 6)} {block.text}" if level.isdecimal() else str(block.text)
