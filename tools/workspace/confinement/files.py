"""Open files and folders of a workspace. All further work uses their handles, never again their names.

A hard link in the workspace to a file outside cannot be recognised, so it is read like any other file. Making one needs
write access to both folders, which no tool gives.
"""

import hashlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tools.base import ToolError
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.deadline import Deadline
from tools.workspace.refusals import tool_error

BLOCK_BYTES = 64 * 1024


class Opened:
    """An open handle and its path without links. A context manager, which closes the handle."""

    def __init__(self, handle: int, parts: Parts) -> None:
        self._handle = handle
        self.parts = parts

    @property
    def path(self) -> str:
        """The path relative to the workspace."""
        return joined(self.parts)

    def fileno(self) -> int:
        """Return the handle, which is valid until this is closed."""
        return self._handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)


class Folder(Opened):
    """An open folder. A command can start in it by its handle."""


class File(Opened):
    """An open regular file."""

    @property
    def size(self) -> int:
        """The current size in bytes."""
        return os.fstat(self._handle).st_size

    def blocks(self, size: int = BLOCK_BYTES, deadline: Deadline | None = None) -> Iterator[bytes]:
        """Yield the content in blocks of at most `size` bytes. The deadline is checked before each."""
        offset = 0
        while True:
            # A search opens a hundred thousand files in a second, so nothing here may cost microseconds.
            try:
                block = os.pread(self._handle, size, offset)
            except OSError as error:
                raise tool_error(error, self.path) from error
            if not block:
                return
            if deadline:
                deadline.check()
            yield block
            offset += len(block)

    def head(self, size: int) -> bytes:
        """Return the first bytes."""
        try:
            return os.pread(self._handle, size, 0)
        except OSError as error:
            raise tool_error(error, self.path) from error

    def read(self, max_bytes: int) -> bytes:
        """Return the whole content. Raises `ToolError` (`too_large`) for more than `max_bytes`."""
        content = bytearray()
        for block in self.blocks():
            content += block
            self._check_size(len(content), max_bytes, "read")
        return bytes(content)

    def sha256(self, max_bytes: int) -> str:
        """Return the hash of the whole content in hexadecimal. Raises `ToolError` (`too_large`) beyond `max_bytes`."""
        digest = hashlib.sha256()
        size = 0
        for block in self.blocks():
            size += len(block)
            self._check_size(size, max_bytes, "hashed")
            digest.update(block)
        return digest.hexdigest()

    def _check_size(self, size: int, max_bytes: int, done: str) -> None:
        # Counted as it is read: the file may grow meanwhile.
        if size > max_bytes:
            raise ToolError(
                f"{shown(self.path)} has {self.size} bytes: at most {max_bytes} are {done} at once.",
                code="too_large",
            )
