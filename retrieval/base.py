"""The values of retrieval, and the two sides that it works between: a source of files, and a reader of their content.

DocumentError        a file's content cannot be indexed
      ServiceError       the embedding service makes no vectors now
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    # The worker, which imports this, has none of the service's other code.
    from spending.accounts import Payer


Kind = Literal["text", "markdown", "code", "pdf", "docx"]
DocumentKind = Literal["html", "pdf"]
"""Documents of the web, which are converted to text."""


class DocumentError(Exception):
    """A file cannot be indexed. The message is a sentence for the caller, and never quotes the file."""


class ServiceError(DocumentError):
    """The embedding service makes no vectors now, of any text. The message never quotes a text or a key."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a text: its first and last line (from 1), and the headings or symbols around it."""

    first: int
    last: int
    title: str
    text: str


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its source lists it. `size` is in bytes, `modified_ns` in nanoseconds since 1970."""

    path: str
    size: int
    modified_ns: int


class Source(Protocol):
    """The files that an index covers."""

    def files(self) -> Iterator[SourceFile]:
        """Yield the files. Raises `DocumentError` if they cannot be listed."""
        ...

    @property
    def complete(self) -> bool:
        """True if the last listing visited every file."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file. Raises `DocumentError`."""
        ...

    def over(self) -> bool:
        """Return whether the work must stop."""
        ...


class Reader(Protocol):
    """Reads content, in a process of its own. Calls block."""

    missing: str
    """The reason why texts get no vectors, or an empty text."""

    model: str
    """The name of the vectors. Those of another model are in another space, and are made again."""

    texts_at_once: int
    """Texts whose vectors are asked for together."""

    leaves_machine: bool
    """True if texts are sent to a service."""

    def pieces(self, kind: Kind, data: bytes) -> list[Piece]:
        """Return the pieces of a content. Raises `DocumentError`."""
        ...

    def vectors(self, texts: Sequence[str], payer: "Payer", /) -> list[bytes]:
        """Return the vector of each text: a signed byte for each dimension. Raises `DocumentError`.

        All have the same number of dimensions. The payer pays for them, if they cost anything.
        """
        ...
