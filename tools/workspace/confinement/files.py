"""What a workspace has opened: handles that are acted on, and never again their names.

A hard link cannot be told from the file itself: one that was made from inside the workspace to something outside is
read like any other file. Making it takes the right to write both, which no tool gives.
"""

import hashlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tools.base import ToolError
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.deadline import Deadline
from tools.workspace.refusals import telling_of

BLOCK_BYTES = 64 * 1024


class Opened:
    """An open handle and the names without links that lead to it. A context manager, which closes the handle."""

    def __init__(self, handle: int, parts: Parts) -> None:
        self._handle = handle
        self.parts = parts

    @property
    def path(self) -> str:
        """Relative to the workspace."""
        return joined(self.parts)

    def fileno(self) -> int:
        """The handle, valid until this is closed."""
        return self._handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)


class Folder(Opened):
    """An open folder, to start a command in by its handle."""


class File(Opened):
    """An open regular file."""

    @property
    def size(self) -> int:
        """Bytes, as of now."""
        return os.fstat(self._handle).st_size

    def blocks(self, size: int = BLOCK_BYTES, deadline: Deadline | None = None) -> Iterator[bytes]:
        """The content from the start in pieces of at most `size` bytes, with the deadline looked at before each."""
        offset = 0
        while block := self._read(size, offset):
            if deadline:
                deadline.check()
            yield block
            offset += len(block)

    def read(self, max_bytes: int) -> bytes:
        """All of it. Raises `ToolError` (`too_large`) for more than `max_bytes`."""
        content = bytearray()
        for block in self.blocks():
            content += block
            self._check_size(len(content), max_bytes, "read")
        return bytes(content)

    def _read(self, size: int, offset: int) -> bytes:
        with telling_of(self.path):
            return os.pread(self._handle, size, offset)

    def sha256(self, max_bytes: int) -> str:
        """Of all of it, in hexadecimal. Raises `ToolError` (`too_large`) for more than `max_bytes`."""
        digest = hashlib.sha256()
        size = 0
        for block in self.blocks():
            size += len(block)
            self._check_size(size, max_bytes, "hashed")
            digest.update(block)
        return digest.hexdigest()

    def _check_size(self, size: int, max_bytes: int, done: str) -> None:
        if size > max_bytes:
            raise ToolError(
                f"{shown(self.path)} is {self.size} bytes long: at most {max_bytes} are {done} at once.",
                code="too_large",
            )
