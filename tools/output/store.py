"""The output store: the full output of an execution, in a file of its own.

Output that fits into a row is stored in the row. Files lie in a folder of their owner, so a caller finds only its own.
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
"""Bytes that are collected before a thread writes them."""

FOLDER_MODE: Final = 0o700
# The file must be new: an existing one, or a link in its place, was not made by this execution.
FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE: Final = 0o600

OWNER: Final = re.compile(r"[0-9a-f]{16}")
PART: Final = re.compile(r"[0-9a-f]{2}")
NAME: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.txt")
"""Names in the store: `OWNER/PART/NAME`. An owner's folder is a hash; a part has the last digits of the IDs in it."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="outputs")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Output that has ended: its size in bytes, its SHA-256, and whether the store has the whole of it."""

    size: int
    sha256: str
    whole: bool


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the store: its execution, its size in bytes, and when it was last written, in seconds since 1970."""

    execution_id: UUID
    path: Path
    size: int
    written: float


class OutputPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an output from byte `offset`, cut between characters. `next_offset` is None on the last page."""

    text: str
    offset: int
    size: int
    next_offset: int | None


class OutputStore:
    """Files below `root`, which is made when it is needed. At most `max_bytes` of each output are stored."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def begin(self, owner: str, execution_id: UUID) -> "Recording":
        """Return a new output. Its file is made when the first block is written."""
        return Recording(partial(self._path, owner, execution_id), self._max_bytes)

    async def page(self, owner: str, execution_id: UUID, offset: int, limit: int) -> OutputPage | None:
        """Return at most `limit` bytes of an output; None if the owner has no such output here."""
        path = self._path(owner, execution_id)

        def read() -> OutputPage | None:
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    file.seek(offset)
                    # A character of UTF-8 has up to 4 bytes: one that begins at the limit has 3 beyond it.
                    return _page(file.read(limit + 3), offset, limit, size)
            except FileNotFoundError:
                return None

        return await _in_thread(read)

    def size(self, owner: str, execution_id: UUID) -> int:
        """Return the size in bytes of a stored output; 0 if it is not here."""
        try:
            return self._path(owner, execution_id).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, owner: str, execution_id: UUID) -> None:
        """Remove an output if it is here. Raises `OSError`."""
        self._path(owner, execution_id).unlink(missing_ok=True)

    def kept(self) -> Iterator[Kept]:
        """Yield the stored outputs of all owners. Raises `OSError`."""
        # Only names that the store makes count: what an operator puts beside them must not be pruned.
        for owner in _folders(self._root, OWNER):
            for part in _folders(owner.path, PART):
                for entry in _entries(part.path):
                    found = NAME.fullmatch(entry.name)
                    if found is None or found[1][-2:] != part.name or not entry.is_file(follow_symlinks=False):
                        continue
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # another process removed it
                        continue
                    path = Path(entry.path)
                    yield Kept(execution_id=UUID(found[1]), path=path, size=stat.st_size, written=stat.st_mtime)

    def _path(self, owner: str, execution_id: UUID) -> Path:
        folder = hashlib.sha256(owner.encode()).hexdigest()[:16]
        # UUIDv7 begins with the time, so its last digits spread the files evenly.
        return self._root / folder / str(execution_id)[-2:] / f"{execution_id}.txt"


class Recording:
    """An output while the tool runs.

    If it cannot be written, as on a full disk, the tool continues and `Stored.whole` is false.
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
        """Add a piece."""
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
        """Write the rest if the output is to be stored or its file exists, and return its size and hash."""
        if keep or self._file is not None:
            await self._flush()
        if self._file is not None:
            await _in_thread(partial(os.close, self._file))
            self._file = None
        return Stored(size=self._size, sha256=self._hash.hexdigest(), whole=self._whole)

    async def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()

        def append() -> None:
            if self._file is None:
                path = self._path()
                path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
                self._file = os.open(path, FILE, FILE_MODE)
            view = memoryview(data)
            # A write may take only a part of the bytes.
            while view:
                view = view[os.write(self._file, view) :]

        try:
            await _in_thread(append)
        except OSError:
            self._whole = False


def page_of(text: str, offset: int, limit: int) -> OutputPage:
    """Return a page of a text in memory, cut as `OutputStore.page` cuts a file."""
    data = text.encode("utf-8", "replace")
    return _page(data[offset : offset + limit + 3], offset, limit, len(data))


def _folders(folder: Path | str, named: re.Pattern[str]) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(folder) if named.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; none if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _page(data: bytes, offset: int, limit: int, size: int) -> OutputPage:
    """Return bytes from `offset` as a page. A character that begins within the limit is whole in it."""
    # A byte 10xxxxxx continues a character (RFC 3629).
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
