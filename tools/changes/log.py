"""The log of a run's changes of files: what each file was before, and what the run made of it.

A run has a folder with a journal, one JSON line for each change, and the contents that it names by their SHA-256. The
line and the contents are on disk before the file changes. After a crash, the last change may not have been made:
the file has the last line's `after`, or its `before`.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import msgspec

from tools.base import ToolError
from tools.workspace.writing import Replaced

JOURNAL: Final = "journal.jsonl"
OWNER_ONLY: Final = 0o700
FILE_MODE: Final = 0o600
MAX_JOURNAL_BYTES: Final = 16 * 2**20
"""Bytes of a journal. A run whose journal is full changes no more files."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file. It is `kept` unless it was too large."""

    sha256: str
    size: int
    executable: bool = False
    kept: bool = True


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a file; None is a file that does not exist."""

    path: str
    before: Content | None
    after: Content | None


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run changed: before its first change, and after its last; `between` is before its last."""

    path: str
    before: Content | None
    after: Content | None
    between: Content | None

    @property
    def is_restorable(self) -> bool:
        """True if both contents are kept, or need not be."""
        return all(content is None or content.kept for content in (self.before, self.after))


class RunChanges:
    """The changes of one run, below `folder`. At most `max_bytes` of contents are kept."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def record(self, replaced: Sequence[Replaced]) -> None:
        """Record changes that are about to be made. Raises `ToolError` if that is not possible."""
        try:
            self._folder.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
            # Tools of a run may work side by side, and in another process after an approval.
            with _opened(self._folder / JOURNAL, os.O_APPEND) as journal:
                fcntl.flock(journal, fcntl.LOCK_EX)
                if journal.tell() > MAX_JOURNAL_BYTES:
                    raise ToolError("The run has changed too many files: no more can be recorded.", code="too_large")
                for change in replaced:
                    before = self._keep(change.before, change.before_size, executable=change.was_executable)
                    after = self._keep(change.after, len(change.after or b""), executable=change.is_executable)
                    line = Line(path=change.path, before=before, after=after)
                    journal.write(msgspec.json.encode(line) + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise ToolError(
                f"The earlier content of the file cannot be kept, so it was not changed: {error.strerror}.",
                code="failed",
            ) from error

    def files(self) -> tuple[ChangedFile, ...]:
        """Return the changed files in the order of their first change."""
        found: dict[str, ChangedFile] = {}
        for line in self._lines():
            first = found.get(line.path)
            before = first.before if first else line.before
            found[line.path] = ChangedFile(path=line.path, before=before, after=line.after, between=line.before)
        return tuple(found.values())

    def read(self, content: Content) -> bytes:
        """Return a kept content. Raises `OSError`."""
        return (self._folder / content.sha256).read_bytes()

    def _keep(self, data: bytes | None, size: int, *, executable: bool) -> Content | None:
        """Return a content, which is kept if there is room. A file without `data`, but with a size, is too large."""
        if data is None:
            return Content(sha256="", size=size, executable=executable, kept=False) if size else None
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / digest
        kept = path.exists()
        used = sum(entry.stat().st_size for entry in os.scandir(self._folder) if entry.name != JOURNAL)
        if not kept and used + size <= self._max_bytes:
            partial = path.with_suffix(".partial")
            with _opened(partial, os.O_TRUNC) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            kept = True
        return Content(sha256=digest, size=size, executable=executable, kept=kept)

    def _lines(self) -> Iterator[Line]:
        try:
            with (self._folder / JOURNAL).open("rb") as journal:
                for line in journal:
                    # The last line may be cut after a crash. Then its change was not made.
                    with suppress(msgspec.DecodeError):
                        yield msgspec.json.decode(line, type=Line)
        except FileNotFoundError:
            return


class KeptChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The kept changes of a run: their folder, its size in bytes, and its last change in seconds since 1970."""

    run_id: UUID
    folder: Path
    size: int
    written: float

    def remove(self) -> None:
        """Remove them. Raises `OSError`."""
        shutil.rmtree(self.folder)


class ChangeStore:
    """The changes of all runs, in one folder for each below `root`."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def of(self, run_id: UUID) -> RunChanges:
        """Return the changes of a run."""
        return RunChanges(self._root / str(run_id)[-2:] / str(run_id), self._max_bytes)

    def remove(self, run_id: UUID) -> bool:
        """Remove the stored changes of a run. Return whether there were any. Raises `OSError`."""
        folder = self._root / str(run_id)[-2:] / str(run_id)
        if not folder.is_dir():
            return False
        shutil.rmtree(folder)
        return True

    def kept(self) -> Iterator[KeptChanges]:
        """Yield the stored changes of all runs. Raises `OSError`."""
        for part in _folders(self._root):
            for folder in _folders(part):
                # Only names that the store makes count: what an operator puts beside them must not be pruned.
                with suppress(ValueError, FileNotFoundError):
                    sizes = [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder)]
                    written = folder.stat().st_mtime
                    yield KeptChanges(run_id=UUID(folder.name), folder=folder, size=sum(sizes), written=written)


def _folders(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _opened(path: Path, flag: int) -> BinaryIO:
    """Open a file of the service's own for writing."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flag, FILE_MODE), "wb")
