"""The interface of the indexes of workspaces, and their values.

DocumentError               the index cannot be used now
      IndexDamagedError     the index must be made again
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

import msgspec

from retrieval.base import DocumentError, Kind, Piece, SourceFile
from retrieval.limits import MAX_PIECES_PER_FILE

DIMENSIONS: Final = 384
"""Bytes of a vector, if the index does not say how many."""

Part = Literal["words", "vectors"]
"""The parts of an index that are updated each on its own."""


class IndexDamagedError(DocumentError):
    """An index has to be made again, for example because its tables are gone."""


class IndexedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the index. A `problem` is the reason why it has no pieces."""

    id: int
    path: str
    size: int
    modified_ns: int
    sha256: str
    kind: Kind
    pieces: int
    problem: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file as it is indexed: its pieces, or the problem with it."""

    sha256: str
    kind: Kind
    pieces: Sequence[Piece] = ()
    problem: str = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an index in numbers. `embedded` counts the pieces that have vectors."""

    files: int
    skipped: int
    pieces: int
    embedded: int
    bytes: int


def file_of(piece: int) -> int:
    """Return the id of the file of a piece."""
    return piece // MAX_PIECES_PER_FILE


def piece_numbers(file_id: int, count: int, first: int = 0) -> range:
    """Return the numbers of the pieces of a file with `count` pieces, without the first ones if that is asked."""
    return range(file_id * MAX_PIECES_PER_FILE + first, file_id * MAX_PIECES_PER_FILE + count)


class Vectors(ABC):
    """The vectors of the pieces of an index: signed bytes, as many as the index has dimensions."""

    @abstractmethod
    def missing(self, max_files: int) -> list[range]:
        """Return the pieces that lack vectors, of some files."""

    @abstractmethod
    def add(self, first: int, vectors: Sequence[bytes]) -> None:
        """Add the vectors of the pieces from `first` on, which are all of one file.

        Nothing is added if the file is replaced, or if `first` is not its first piece that lacks a vector.
        """

    @abstractmethod
    def clear(self) -> bool:
        """Remove all vectors, and return whether there were any."""

    @abstractmethod
    def nearest(self, vector: bytes, files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files whose vectors are nearest to a vector, the best first."""


class Index(ABC):
    """An open index of one workspace. Any number may be open; `lock` decides which of them updates it."""

    vectors: Vectors

    @property
    def dimensions(self) -> int:
        """The bytes of a vector."""
        return int(self.state("dimensions") or DIMENSIONS)

    @abstractmethod
    def files(self) -> dict[str, IndexedFile]:
        """Return the files by their paths."""

    @abstractmethod
    def totals(self) -> Totals:
        """Return the contents in numbers."""

    @abstractmethod
    def state(self, name: str) -> str:
        """Return a stored value, or an empty text."""

    @abstractmethod
    def set_state(self, **values: str) -> None:
        """Store values."""

    @abstractmethod
    def put(self, file: SourceFile, content: Content) -> None:
        """Replace what the index has of a file."""

    @abstractmethod
    def touch(self, file: SourceFile) -> None:
        """Note the time of a file whose content is the same."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if the index has it."""

    @abstractmethod
    def pieces(self, numbers: Iterable[int]) -> dict[int, Piece]:
        """Return the pieces with these numbers, in this order, except those that are gone."""

    @abstractmethod
    def matching(self, words: Sequence[str], files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files that have any of the words, the best first.

        A word is a text for comparison, never a part of an expression.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Commit the statements of a block together, or none of them. Transactions of one index exclude each other."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Read the same state in a whole block, whatever others commit meanwhile."""

    @abstractmethod
    def lock(self, part: Part) -> AbstractContextManager[bool]:
        """Lock the updates of a part, for all users of the index. Yield False if another one holds the lock."""


class Indexes(ABC):
    """The indexes of all workspaces. A workspace is known by its absolute path."""

    @abstractmethod
    def open(self, workspace: Path) -> AbstractContextManager[Index]:
        """Open the index of a workspace; a new one is empty. The block may raise `DocumentError`."""

    @abstractmethod
    def repair(self, workspace: Path) -> None:
        """Make again what an `IndexDamagedError` was about. Raises `DocumentError`."""

    @abstractmethod
    def forget(self, workspace: Path) -> None:
        """Remove the index of a workspace. Raises `DocumentError`."""

    @abstractmethod
    def sweep(self) -> int:
        """Remove the indexes of workspaces that are gone, and return their number. Raises `DocumentError`."""
