"""Files in memory, and a reader in this process with vectors that cost nothing."""

import zlib
from collections.abc import Iterator, Sequence

from retrieval.base import DocumentError, Kind, Piece, SourceFile
from retrieval.indexes.base import DIMENSIONS
from retrieval.worker.tasks import LocalReader
from spending.accounts import Payer

MEANINGS = {"automobile": "car", "vehicle": "car", "purchase": "buy"}
"""Words that mean the same to `WordReader`."""


class WordReader(LocalReader):
    """A reader whose vectors count the words of a text; `calls` counts the contents that it has split."""

    def __init__(self, missing: str = "") -> None:
        self.missing = missing
        self.calls = 0

    def pieces(self, kind: Kind, data: bytes) -> list[Piece]:
        self.calls += 1
        return super().pieces(kind, data)

    def vectors(self, texts: Sequence[str], _payer: Payer | None = None, /) -> list[bytes]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> bytes:
        counts = bytearray(DIMENSIONS)
        words = text.lower().split()
        for word in words:
            counts[zlib.crc32(MEANINGS.get(word, word).encode()) % DIMENSIONS] = int(127 / len(words) ** 0.5)
        return bytes(counts)


class Files:
    """A source of files in memory. After `left` questions whether its time is over, it is."""

    def __init__(self, **contents: bytes | str) -> None:
        self.contents = {name.replace("__", "."): content for name, content in contents.items()}
        self.gone: set[str] = set()
        """The files that are listed and cannot be read."""
        self.complete = True
        self.left = 10_000
        self.time = 1

    def files(self) -> Iterator[SourceFile]:
        for path, content in self.contents.items():
            yield SourceFile(path=path, size=len(content), modified_ns=self.time)

    def read(self, path: str, max_bytes: int) -> bytes:
        if path in self.gone:
            raise DocumentError(f"{path} does not exist in the workspace.")
        content = self.contents[path]
        return content if isinstance(content, bytes) else content.encode()

    def over(self) -> bool:
        self.left -= 1
        return self.left < 0
