"""The folders of a workspace that hold repositories from elsewhere."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.base import ToolError
from tools.workspace.confinement.paths import parse

WHOLE: Final = "."
MAX_FOLDERS: Final = 1_000
"""Folders that are kept by name. With more, all files of the workspace count as foreign."""

MAX_DEPTH: Final = 4_096
OWNER_ONLY: Final = 0o700


class ForeignFolders:
    """The folders of one workspace into which repositories were cloned.

    A file outside of the workspace lists them, one JSON string a line, so that other processes and later starts know
    them. Without a `file` they are kept in memory. Any thread may call it.
    """

    def __init__(self, base: Path, file: Path | None = None) -> None:
        self._base = base
        self._file = file
        self._adding = threading.Lock()
        self._folders: tuple[str, ...] = ()
        self._state: tuple[int, int] | None = None

    def add(self, folder: str) -> None:
        """Add a folder, before it is made. Raises `ToolError` if it cannot be stored."""
        try:
            with self._adding:
                known = self._known()
                if folder in known or WHOLE in known:
                    return
                added = folder if len(known) < MAX_FOLDERS else WHOLE
                if self._file is None:
                    self._folders = (*known, added)
                    return
                self._file.parent.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
                with self._file.open("ab") as file:
                    file.write(f"{json.dumps(added)}\n".encode())
        except OSError as error:
            raise ToolError(f"The service's own folder cannot be used: {error.strerror}.", code="failed") from error

    def overlaps(self, paths: Sequence[str]) -> bool:
        """Return whether any of these paths is in one of the folders, or has one of them in it."""
        try:
            folders = self._known()
        except OSError:
            folders = (WHOLE,)
        return bool(folders) and any(
            _is_in(path, folder) or _is_in(folder, path) for folder in folders if self._exists(folder) for path in paths
        )

    def forget(self) -> None:
        """Remove the list of the folders. Raises `OSError`."""
        self._folders = ()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _exists(self, folder: str) -> bool:
        """Return whether a folder has not been removed."""
        try:
            return self._base.joinpath(*parse(folder, (), MAX_DEPTH)).is_dir()
        except ToolError:
            return True

    def _known(self) -> tuple[str, ...]:
        """Return the folders. Raises `OSError` if the file cannot be read."""
        if self._file is None:
            return self._folders
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return ()
        state = status.st_mtime_ns, status.st_size
        if state != self._state:
            self._folders = tuple(map(_folder, self._file.read_bytes().splitlines()))
            self._state = state
        return self._folders


def _folder(line: bytes) -> str:
    """Return the folder in a line of the file. One that cannot be read stands for the whole workspace."""
    try:
        return str(json.loads(line))
    except ValueError:
        return WHOLE


def _is_in(path: str, folder: str) -> bool:
    return folder in {WHOLE, path} or path.startswith(f"{folder}/")
