"""Temporary folders of commands: each is made for one command, and removed afterwards with everything in it.

All processes of this user share one parent folder. A folder in use is locked, and the kernel releases the lock when the
process ends. A folder without a lock was left behind.

Source: flock(2).
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

from tools.sandbox.refusals import SandboxUnavailableError

PREFIX: Final = "command-"
OWNER_ONLY: Final = 0o700
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A command can leave millions of files. The rest is removed in the background.
REMOVE_SECONDS: Final = 0.2
"""Seconds that the result of a command waits for the removal of its folder."""

_threads = ThreadPoolExecutor(2, thread_name_prefix="temporary")


class TemporaryFolders:
    """The temporary folders in one parent folder; by default, in one of this user in the system's own place."""

    def __init__(self, beneath: Path | None = None) -> None:
        self.beneath = beneath or Path(tempfile.gettempdir(), f"orchestrator-commands-{os.geteuid()}")

    @asynccontextmanager
    async def new(self) -> AsyncIterator[Path]:
        """Make a folder that only its owner can enter, and remove it afterwards. Raises `SandboxUnavailableError`."""
        with self._parent() as parent:
            # Shared with other makers. A sweep locks the parent exclusively, so it never sees a folder without a lock.
            fcntl.flock(parent, fcntl.LOCK_SH)
            try:
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.beneath))
                lock = os.open(path, FOLDER)
            except OSError as error:
                raise SandboxUnavailableError(f"{self.beneath} takes no temporary folder: {error.strerror}.") from error
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            removal = asyncio.get_running_loop().run_in_executor(_threads, _remove_locked, path, lock)
            await asyncio.wait([removal], timeout=REMOVE_SECONDS)

    def sweep(self) -> int:
        """Remove the folders of processes that have ended, and return their number. This blocks."""
        try:
            stale = self._stale()
        except SandboxUnavailableError:
            # The parent cannot be used. The next command reports it.
            return 0
        for name, lock in stale.items():
            _remove_locked(self.beneath / name, lock)
        return len(stale)

    def _stale(self) -> dict[str, int]:
        """Return the names of unused folders, each with the handle that locks it now."""
        stale: dict[str, int] = {}
        with self._parent() as parent:
            # No folder is between its making and its lock meanwhile: see `new`.
            fcntl.flock(parent, fcntl.LOCK_EX)
            for name in os.listdir(parent):  # noqa: PTH208  by its handle
                if not name.startswith(PREFIX):
                    continue
                with suppress(OSError):
                    lock = os.open(name, FOLDER, dir_fd=parent)
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except OSError:  # it is in use
                        os.close(lock)
                    else:
                        stale[name] = lock
        return stale

    @contextmanager
    def _parent(self) -> Iterator[int]:
        """Open the parent folder, which is made if it is missing. Raises `SandboxUnavailableError`."""
        try:
            self.beneath.mkdir(OWNER_ONLY, exist_ok=True)
            handle = os.open(self.beneath, FOLDER)
        except OSError as error:
            raise SandboxUnavailableError(f"{self.beneath} cannot hold temporary folders: {error.strerror}.") from error
        try:
            # The name is known, so another user may have made it first.
            if os.fstat(handle).st_uid != os.geteuid():
                raise SandboxUnavailableError(
                    f"{self.beneath} cannot hold temporary folders: it belongs to another user."
                )
            yield handle
        finally:
            os.close(handle)


def _remove_locked(path: Path, lock: int) -> None:
    try:
        # A later sweep removes the rest.
        with suppress(OSError):
            remove(path)
    finally:
        os.close(lock)


def remove(path: Path) -> None:
    """Remove a folder with everything in it, at any depth. Links are not followed."""
    root = os.open(path, FOLDER)
    try:
        _empty(root)
    finally:
        os.close(root)
    path.rmdir()


def _empty(root: int) -> None:
    """Remove everything in a folder."""
    # Every subfolder is moved up into the root before its own entries are removed: a command can nest folders deeper
    # than any path or recursion goes.
    moved = 0
    folders = _clear_files(root)
    while folders:
        name = folders.pop()
        # The command may have removed its owner's right to enter.
        os.chmod(name, OWNER_ONLY, dir_fd=root)
        folder = os.open(name, FOLDER, dir_fd=root)
        try:
            for child in _clear_files(folder):
                moved += 1
                flat = f"{PREFIX}{moved}"
                while flat in folders:
                    flat += "-"
                os.chmod(child, OWNER_ONLY, dir_fd=folder)
                os.rename(child, flat, src_dir_fd=folder, dst_dir_fd=root)
                folders.append(flat)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=root)


def _clear_files(folder: int) -> list[str]:
    """Remove everything except folders, and return the names of the folders."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=folder)
    return folders
