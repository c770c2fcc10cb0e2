"""The work of a worker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from retrieval.base import DocumentError, Kind, Piece
from retrieval.decoding import decoded
from retrieval.limits import MAX_PIECES_PER_FILE
from retrieval.splitting import split
from retrieval.worker.documents import docx_text, pdf_pages
from retrieval.worker.embedding import MODEL, TEXTS_A_TASK, load_embedder
from retrieval.worker.protocol import Convert, Converted
from retrieval.worker.web_pages import html_page

if TYPE_CHECKING:
    # The worker, which imports this, has none of the service's other code.
    from spending.accounts import Payer


def converted(task: Convert) -> Converted:
    """Return the text of a document. Raises `DocumentError`."""
    if task.kind == "html":
        return html_page(task.data.decode("utf-8", "replace"), task.url)
    text = "\n\n".join(filter(None, (page.strip() for page in pdf_pages(task.data))))
    if not text:
        raise DocumentError("It has no text: it may be scanned.")
    return Converted(title="", text=text)


class LocalReader:
    """A reader in this process. A worker has one; a service uses `ReaderProcess`."""

    missing = ""
    model = MODEL
    texts_at_once = TEXTS_A_TASK
    leaves_machine = False

    def pieces(self, kind: Kind, data: bytes) -> list[Piece]:
        """Return the pieces of a content. Raises `DocumentError`."""
        if kind == "pdf":
            return _pieces_of_pages(data)
        return split(docx_text(data), "markdown") if kind == "docx" else split(decoded(data), kind)

    def vectors(self, texts: Sequence[str], _payer: "Payer | None" = None, /) -> list[bytes]:
        return load_embedder().vectors(texts)


def _pieces_of_pages(data: bytes) -> list[Piece]:
    """Return the pieces of a PDF file. Lines are counted through all pages."""
    pieces: list[Piece] = []
    before = 0
    for number, page in enumerate(pdf_pages(data), 1):
        for piece in split(page, "text"):
            place = {"first": piece.first + before, "last": piece.last + before, "title": f"page {number}"}
            pieces.append(msgspec.structs.replace(piece, **place))
        before += page.count("\n") + 1
    if not pieces:
        raise DocumentError("It has no text: it may be scanned.")
    return pieces[:MAX_PIECES_PER_FILE]
