"""The quota of a workspace: how many bytes and files it may hold.

Changes by tools and over the API are counted as they are made. What commands and other processes change is found when
the folder is counted again.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tools.base import ToolError

RECOUNT_SECONDS: Final = 60.0
"""The age at which a count is repeated. A change that would exceed the quota always counts again."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a folder, and the bytes in them."""

    files: int = 0
    bytes: int = 0


class Quota:
    """The quota of one workspace. Calls block, and wait for each other: the workspace makes one change at a time."""

    def __init__(
        self, folder: Path, *, max_bytes: int, max_files: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._max = Usage(files=max_files, bytes=max_bytes)
        self._clock = clock
        self._usage = Usage()
        self._counted: float | None = None

    def check(self, files: int, size: int) -> None:
        """Check that the workspace may grow by so many files and bytes. Raises `ToolError` (`workspace_full`)."""
        if files <= 0 and size <= 0:
            return
        if self._counted is None or self._clock() - self._counted > RECOUNT_SECONDS or self._exceeded(files, size):
            self._usage, self._counted = usage_of(self._folder), self._clock()
        if exceeded := self._exceeded(files, size):
            raise ToolError(f"The workspace is full: {exceeded}. Remove files first.", code="workspace_full")

    def add(self, files: int, size: int) -> None:
        """Count a change that was made."""
        self._usage = Usage(files=self._usage.files + files, bytes=self._usage.bytes + size)

    def _exceeded(self, files: int, size: int) -> str:
        """Return which maximum would be exceeded; empty if none."""
        if size > 0 and self._usage.bytes + size > self._max.bytes:
            used = f"{self._usage.bytes} of {self._max.bytes} bytes are used"
            return f"{used} (WORKSPACE_MAX_BYTES), and {size} more are needed"
        if files > 0 and self._usage.files + files > self._max.files:
            return f"it has {self._usage.files} of {self._max.files} files (WORKSPACE_MAX_FILES)"
        return ""


def usage_of(folder: Path | str) -> Usage:
    """Return the usage of a folder, hidden files included. Links are not followed. This blocks."""
    files = size = 0
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        files += 1
                        size += entry.stat(follow_symlinks=False).st_size
        except OSError:  # it was removed meanwhile, or cannot be read
            continue
    return Usage(files=files, bytes=size)
