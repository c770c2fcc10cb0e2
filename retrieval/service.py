"""Retrieval: searches the index of a workspace, which it brings up to date first, and finishes in the background."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

import msgspec

from access.caller import OPERATOR
from retrieval import ranking
from retrieval.base import DocumentError, Kind, Piece, Reader, ServiceError, Source
from retrieval.indexes.base import Index, IndexDamagedError, IndexedFile, Indexes, Totals, file_of
from retrieval.updating import FULL, Progress, Update, no_progress, use_space
from spending.accounts import Payer

logger = logging.getLogger(__name__)

OPERATOR_PAYER: Final = Payer(owner=OPERATOR)
NICE: Final = 10
LOCK_SECONDS: Final = 0.02
"""Seconds between two attempts to lock an index."""

MAX_TEXTS_OF_SEARCH: Final = 32
"""Texts whose missing vectors a search makes itself, in about a second. More are made in the background."""

MAX_WAITING: Final = 256
"""Workspaces that wait for their turn in the background."""

Found = TypeVar("Found")
MakeSource = Callable[[], Source]
"""Returns a new source of the same files, with its own time."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that a search found. `lines` are its first and last; `sha256` is that of the file when it was indexed."""

    path: str
    lines: tuple[int, int]
    title: str
    kind: Kind
    score: float
    text: str
    sha256: str


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search, the best first. `missing` says what the index lacks, or is empty."""

    hits: list[Hit]
    by_vectors: bool
    missing: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an index. `updated` is the time of its last change, in ISO 8601, or an empty text."""

    totals: Totals
    updated: str
    missing: str
    running: bool


class Retrieval:
    """Searches in the indexes of all workspaces, and updates of them. Calls block; any thread may make them."""

    def __init__(self, indexes: Indexes, reader: Reader) -> None:
        self.indexes = indexes
        self.reader = reader
        self._waiting: dict[Path, tuple[MakeSource, Payer]] = {}
        self._queue: SimpleQueue[Path] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = False

    def update(
        self,
        workspace: Path,
        source: Source,
        progress: Progress = no_progress,
        *,
        vectors: bool = True,
        payer: Payer = OPERATOR_PAYER,
    ) -> bool:
        """Bring an index up to date in the time of the source, and return whether nothing is missing.

        Raises `DocumentError`.
        """

        def work(index: Index) -> bool:
            update = Update(index, source, self.reader, progress)
            with index.lock("words") as held:
                if held:
                    update.words()
            if not vectors or self.reader.missing:
                return update.complete
            with index.lock("vectors") as held:
                return held and update.vectors(payer) and update.complete

        return self._use(workspace, work)

    def search(
        self,
        workspace: Path,
        source: Source,
        query: str,
        accepts: Callable[[IndexedFile], bool],
        limit: int,
        *,
        payer: Payer = OPERATOR_PAYER,
    ) -> Hits:
        """Return the best pieces of the accepted files. What the index lacks is first added, in the source's time.

        Raises `DocumentError`.
        """

        def work(index: Index) -> Hits:
            update = Update(index, source, self.reader)
            _update_words(update, source)
            missing = self.reader.missing or _few_vectors(update, payer)
            vector: bytes | None = None
            if not missing:
                try:
                    (vector,) = self.reader.vectors([query], payer)
                except DocumentError as error:
                    missing = _as_clause(error)
            if vector is not None:
                with index.lock("vectors") as held:
                    # Those of a pass that runs now are of the same space, or it notices that they are not.
                    if held:
                        use_space(index, self.reader.model, len(vector))
            # A pass of another search may replace files meanwhile. Their pieces would no longer be found by number.
            with index.snapshot():
                files = {file.id: file for file in index.files().values() if file.pieces and accepts(file)}
                rankings = [ranking.by_words(index, query, files)]
                if vector is not None:
                    rankings.append(ranking.by_vectors(index, vector, files))
                found = ranking.fused(*rankings)[:limit]
                pieces = index.pieces(number for _, number in found)
            hits = [_hit(files[file_of(number)], pieces[number], score) for score, number in found]
            return Hits(hits=hits, by_vectors=not missing, missing=_missing(index, missing, complete=update.complete))

        return self._use(workspace, work)

    def status(self, workspace: Path) -> Status:
        """Return the state of the index of a workspace. Raises `DocumentError`."""
        running = workspace in self._waiting

        def work(index: Index) -> Status:
            updated = index.state("updated")
            complete = bool(updated) and not index.state("stopped")
            missing = _missing(index, self.reader.missing, complete=complete)
            return Status(totals=index.totals(), updated=updated, missing=missing, running=running)

        return self._use(workspace, work)

    def forget(self, workspace: Path) -> None:
        """Remove the index of a workspace. Raises `DocumentError`."""
        self.indexes.forget(workspace)

    def sweep(self) -> int:
        """Remove the indexes of workspaces that are gone, and return their number. Raises `DocumentError`."""
        return self.indexes.sweep()

    def finish_later(self, workspace: Path, source: MakeSource, payer: Payer = OPERATOR_PAYER) -> None:
        """Bring an index up to date in the background, in turns with those of other workspaces."""
        # The run may be over by then.
        payer = msgspec.structs.replace(payer, run_id=None, session_id=None)
        with self._lock:
            if workspace in self._waiting or len(self._waiting) >= MAX_WAITING:
                return
            self._waiting[workspace] = source, payer
            if not self._started:
                self._started = True
                # A daemon: an index is valid at any moment, so the service need not wait for it when it ends.
                threading.Thread(target=self._work, name="retrieval", daemon=True).start()
        self._queue.put(workspace)

    def _work(self) -> None:
        with suppress(OSError):
            # On Linux this is the priority of the thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            workspace = self._queue.get()
            made = 0

            def progress(count: int) -> None:
                nonlocal made
                made += count

            try:
                source, payer = self._waiting[workspace]
                done = self.update(workspace, source(), progress, payer=payer)
            except DocumentError as problem:
                logger.info("retrieval.postponed", extra={"reason": str(problem)})
                done = True
            except Exception:  # one workspace must not end the thread for all others
                logger.exception("retrieval.broken")
                done = True
            # A workspace of which nothing could be done waits for its next search.
            if done or not made:
                del self._waiting[workspace]
            else:
                self._queue.put(workspace)

    def _use(self, workspace: Path, work: Callable[[Index], Found]) -> Found:
        """Return the result of work with an index. One that turns out to be damaged is made again."""
        for last in (False, True):
            try:
                with self.indexes.open(workspace) as index:
                    if not self.reader.missing:
                        use_space(index, self.reader.model)
                    return work(index)
            except IndexDamagedError:
                if last:
                    raise
                logger.warning("retrieval.damaged: the index is made again")
                self.indexes.repair(workspace)
        raise AssertionError


def _update_words(update: Update, source: Source) -> None:
    """Bring the words up to date. If another one does it already, wait for that."""
    while True:
        with update.index.lock("words") as held:
            if held:
                update.words()
                return
        if source.over():
            return
        time.sleep(LOCK_SECONDS)


def _few_vectors(update: Update, payer: Payer) -> str:
    """Make some of the vectors that are missing, and return the reason if none can be made now."""
    with update.index.lock("vectors") as held:
        if held:
            try:
                update.vectors(payer, MAX_TEXTS_OF_SEARCH)
            except ServiceError as error:
                return _as_clause(error)
            except DocumentError:
                # A single text may have no vector. The query may have one.
                pass
    return ""


def _as_clause(error: DocumentError) -> str:
    return str(error).rstrip(".")


def _hit(file: IndexedFile, piece: Piece, score: float) -> Hit:
    return Hit(
        path=file.path,
        lines=(piece.first, piece.last),
        title=piece.title,
        kind=file.kind,
        score=round(score, 5),
        text=piece.text,
        sha256=file.sha256,
    )


def _missing(index: Index, reason: str, *, complete: bool) -> str:
    """Return what the index lacks, in sentences, or an empty text."""
    totals, sentences = index.totals(), []
    if index.state("stopped") == FULL:
        sentences.append("The workspace exceeds the limits of an index, so a part of it is not searched.")
    elif not complete:
        sentences.append(f"The index is not complete: {totals.files} files are in it so far. Search again later.")
    if reason:
        sentences.append(f"Only words are searched: {reason}.")
    elif totals.embedded < totals.pieces:
        rest = "have vectors so far; the others are found by their words."
        sentences.append(f"{totals.embedded} of {totals.pieces} pieces {rest}")
    return " ".join(sentences)
