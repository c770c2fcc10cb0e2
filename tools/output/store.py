"""The output store: what an execution said, whole, in a file of its own.

Output that fits into a row is kept there; a file is made when it does not. Files lie beneath their owner, so that
whoever asks for one can only find their own.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

import msgspec

Result = TypeVar("Result")

THREADS: Final = 2
BLOCK_BYTES: Final = 256 * 1_024
"""Bytes that are gathered before a thread writes them."""

FOLDER_MODE: Final = 0o700
FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE: Final = 0o600

OWNER: Final = re.compile(r"[0-9a-f]{16}")
PART: Final = re.compile(r"[0-9a-f]{2}")
NAME: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.txt")
"""Names that the store makes: of an owner's folder, of those in it, and of files in these."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="outputs")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Output that has ended: its bytes, their SHA-256, and whether all of them are in the store."""

    size: int
    sha256: str
    whole: bool


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the store: whose output it is, its bytes, and when some were last added, in seconds since 1970."""

    execution_id: UUID
    path: Path
    size: int
    written: float


class OutputPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an output, from byte `offset` on, cut between characters; `next_offset` is null at its end."""

    text: str
    offset: int
    size: int
    next_offset: int | None


class OutputStore:
    """Files beneath `root`, which is made when it is needed; of each output at most `max_bytes` are kept."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def begin(self, owner: str, execution_id: UUID) -> "Recording":
        """A new output, of which nothing is on disk yet."""
        return Recording(partial(self._path, owner, execution_id), self._max_bytes)

    async def page(self, owner: str, execution_id: UUID, offset: int, limit: int) -> OutputPage | None:
        """At most `limit` bytes of an output, or None where there is none of this owner's."""
        path = self._path(owner, execution_id)
        return await _in_thread(lambda: _read_page(path, offset, limit))

    def size(self, owner: str, execution_id: UUID) -> int:
        """The bytes of an output that are kept here."""
        try:
            return self._path(owner, execution_id).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, owner: str, execution_id: UUID) -> None:
        """Removes an output, if it is here. Raises `OSError`."""
        self._path(owner, execution_id).unlink(missing_ok=True)

    def kept(self) -> Iterator[Kept]:
        """Every output that is here, whoever's. What the store does not make is passed over. Raises `OSError`."""
        for owner in _folders(self._root, OWNER):
            for part in _folders(owner.path, PART):
                yield from _outputs(part)

    def _path(self, owner: str, execution_id: UUID) -> Path:
        folder = hashlib.sha256(owner.encode()).hexdigest()[:16]
        return self._root / folder / str(execution_id)[-2:] / f"{execution_id}.txt"


class Recording:
    """An output while it comes.

    A full disk, or whatever else keeps it from being written, is told by `Stored.whole`; the tool goes on.
    """

    def __init__(self, path: Callable[[], Path], max_bytes: int) -> None:
        self._path = path
        self._left = max_bytes
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: int | None = None
        self._whole = True

    async def add(self, text: str) -> None:
        """The next piece."""
        data = text.encode("utf-8", "replace")
        self._size += len(data)
        self._hash.update(data)
        kept = data[: self._left] if self._whole else b""
        self._left -= len(kept)
        self._buffer += kept
        self._whole = self._whole and len(kept) == len(data)
        if len(self._buffer) >= BLOCK_BYTES:
            await self._flush()

    async def end(self, *, keep: bool) -> Stored:
        """Writes what is left, if the output is to be kept or has begun to be, and says what there is."""
        if keep or self._file is not None:
            await self._flush()
        if self._file is not None:
            await _in_thread(lambda: _finish(self._file))
            self._file = None
        return Stored(size=self._size, sha256=self._hash.hexdigest(), whole=self._whole)

    async def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            await _in_thread(lambda: self._append(data))
        except OSError:
            self._whole = False

    def _append(self, data: bytes) -> None:
        if self._file is None:
            path = self._path()
            path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._file = os.open(path, FILE, FILE_MODE)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]


def page_of(text: str, offset: int, limit: int) -> OutputPage:
    """The same page of a text that is at hand."""
    data = text.encode("utf-8", "replace")
    return _page(data[offset : offset + limit + 3], offset, limit, len(data))


def _folders(folder: Path | str, named: re.Pattern[str]) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(folder) if named.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]


def _outputs(part: os.DirEntry[str]) -> Iterator[Kept]:
    for entry in _entries(part.path):
        found = NAME.fullmatch(entry.name)
        if found is None or found[1][-2:] != part.name or not entry.is_file(follow_symlinks=False):
            continue
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # removed meanwhile
            continue
        yield Kept(execution_id=UUID(found[1]), path=Path(entry.path), size=stat.st_size, written=stat.st_mtime)


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """What is in a folder: nothing, where there is none."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _finish(file: int | None) -> None:
    if file is not None:
        os.close(file)


def _read_page(path: Path, offset: int, limit: int) -> OutputPage | None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            return _page(file.read(limit + 3), offset, limit, size)
    except FileNotFoundError:
        return None


def _page(data: bytes, offset: int, limit: int, size: int) -> OutputPage:
    """Bytes from `offset` on as a page: a character that begins within the limit is whole in it."""
    end = min(limit, len(data))
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    start = 0
    while start < min(end, 3) and offset and data[start] & 0xC0 == 0x80:
        start += 1
    following = offset + end
    return OutputPage(
        text=data[start:end].decode("utf-8", "replace"),
        offset=offset + start,
        size=size,
        next_offset=following if following < size else None,
    )


async def _in_thread(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
