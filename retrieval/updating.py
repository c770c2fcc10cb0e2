"""Updates of an index: new and changed files are read, and those that are gone are removed.

First come the words of all files, then the vectors, which take far longer. Each step commits, so a process that dies
leaves a valid index that the next one continues.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Final

import msgspec

from retrieval.base import DocumentError, Piece, Reader, Source, SourceFile
from retrieval.indexes.base import Content, Index, IndexedFile, file_of
from retrieval.kinds import kind_of
from retrieval.limits import (
    MAX_DOCUMENT_BYTES,
    MAX_FILES,
    MAX_INDEX_BYTES,
    MAX_PIECES,
    MAX_TEXT_BYTES,
)
from spending.accounts import Payer

FILES_A_COMMIT: Final = 32
DOCUMENTS: Final = frozenset({"pdf", "docx"})
LATE: Final = "late"
"""The word for an update that its time did not suffice for."""

FULL: Final = "full"
"""The word for an index that has reached a limit."""

Progress = Callable[[int], None]
"""Takes the number of files that were read, or of texts whose vectors were made, since the last call."""


def no_progress(count: int) -> None:
    """Show nothing."""


def use_space(index: Index, model: str, dimensions: int = 0) -> bool:
    """Keep only vectors of a model and of this many dimensions. Return whether others were removed."""
    if index.state("model") == model and dimensions in {0, index.dimensions}:
        return False
    with index.transaction():
        removed = index.vectors.clear()
        index.set_state(model=model, dimensions=str(dimensions or ""))
    return removed


class Update:
    """One pass over the files of a source. `complete` is true if the words of all files are in the index."""

    def __init__(self, index: Index, source: Source, reader: Reader, progress: Progress = no_progress) -> None:
        self.index = index
        self._source = source
        self._reader = reader
        self._progress = progress
        self._pieces = 0
        self.complete = False

    def words(self) -> None:
        """Bring the words up to date, until the source's time is over. Raises `DocumentError`."""
        known = self.index.files()
        gone = set(known)
        changed: list[SourceFile] = []
        count = 0
        for file in self._source.files():
            count += 1
            if count > MAX_FILES:
                break
            gone.discard(file.path)
            old = known.get(file.path)
            if old is None or (old.size, old.modified_ns) != (file.size, file.modified_ns):
                changed.append(file)
        listed = self._source.complete and count <= MAX_FILES
        if listed and gone:
            with self.index.transaction():
                for path in gone:
                    self.index.remove(path)
        # Documents take the longest.
        changed.sort(key=lambda file: kind_of(file.path) in DOCUMENTS)
        self._pieces = self.index.totals().pieces
        batches = (changed[start : start + FILES_A_COMMIT] for start in range(0, len(changed), FILES_A_COMMIT))
        stopped = next(filter(None, (self._read_batch(batch, known) for batch in batches)), "")
        self.complete = listed and not stopped
        stopped = stopped or ("" if listed else LATE)
        if changed or gone or not self.index.state("updated") or self.index.state("stopped") != stopped:
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self.index.set_state(stopped=stopped, updated=now)

    def _read_batch(self, files: list[SourceFile], known: dict[str, IndexedFile]) -> str:
        """Read some files, then store them in one transaction. Return why this stopped early, or an empty text."""
        read: list[tuple[SourceFile, Content | None]] = []
        stopped = ""
        size = self.index.totals().bytes
        for file in files:
            if self._pieces >= MAX_PIECES or size >= MAX_INDEX_BYTES:
                stopped = FULL
            elif self._source.over():
                stopped = LATE
            if stopped:
                break
            content = self._content(file, known.get(file.path))
            self._pieces += len(content.pieces) if content else 0
            read.append((file, content))
        with self.index.transaction():
            for file, content in read:
                if content:
                    self.index.put(file, content)
                else:
                    self.index.touch(file)
        self._progress(len(read))
        return stopped

    def _content(self, file: SourceFile, old: IndexedFile | None) -> Content | None:
        """Return the content of a file, or the problem with it. None if the index has this content already."""
        kind = kind_of(file.path)
        max_bytes = MAX_DOCUMENT_BYTES if kind in DOCUMENTS else MAX_TEXT_BYTES
        sha256 = ""
        try:
            if file.size > max_bytes:
                raise DocumentError(f"It has {file.size} bytes; at most {max_bytes} are indexed.")
            data = self._source.read(file.path, max_bytes)
            sha256 = hashlib.sha256(data).hexdigest()
            if old and old.sha256 == sha256:
                return None
            pieces = [_storable(piece) for piece in self._reader.pieces(kind, data)]
            return Content(sha256=sha256, kind=kind, pieces=pieces)
        except DocumentError as problem:
            return Content(sha256=sha256, kind=kind, problem=str(problem))

    def vectors(self, payer: Payer, max_texts: int = MAX_PIECES) -> bool:
        """Make at most `max_texts` vectors in the source's time, and return whether none is missing.

        Raises `DocumentError`.
        """
        if self._reader.missing:
            return False
        other_spaces = 0
        while not self._source.over():
            missing = self.index.vectors.missing(FILES_A_COMMIT)
            if not missing:
                return True
            texts = self._texts_of(missing)
            while batch := list(islice(texts, self._reader.texts_at_once)):
                if self._source.over() or max_texts <= 0:
                    return False
                max_texts -= len(batch)
                made = self._reader.vectors([text for _, text in batch], payer)
                if use_space(self.index, self._reader.model, len(made[0])):
                    other_spaces += 1
                    if other_spaces > 1:
                        raise DocumentError("The service gives vectors of changing dimensions.")
                    # The files have no vectors now, so the first pieces of each come first.
                    break
                numbered = ((number, vector) for (number, _), vector in zip(batch, made, strict=True))
                with self.index.transaction():
                    for _, group in groupby(numbered, key=lambda pair: file_of(pair[0])):
                        numbers, vectors = zip(*group, strict=True)
                        self.index.vectors.add(numbers[0], vectors)
                self._progress(len(batch))
        return False

    def _texts_of(self, missing: Iterable[range]) -> Iterator[tuple[int, str]]:
        """Yield the pieces with these numbers, each as its number and its text below its title."""
        for numbers in missing:
            for number, piece in self.index.pieces(numbers).items():
                yield number, f"{piece.title}\n{piece.text}" if piece.title else piece.text


def _storable(piece: Piece) -> Piece:
    """Return a piece as every database can hold it: without NUL and halves of surrogate pairs."""
    title, text = (
        each.replace("\0", "\ufffd").encode("utf-8", "replace").decode() for each in (piece.title, piece.text)
    )
    return msgspec.structs.replace(piece, title=title, text=text)
