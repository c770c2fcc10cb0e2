"""Commands' own temporary folders: each made for one command, and emptied after it whatever it left there.

They lie in a folder of their own, which every process of this user on the machine may share: a folder that is in use is
locked, and the kernel lets go of the lock with the process. So what nobody has locked was left behind.

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
OWNER_ALONE: Final = 0o700
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
REMOVE_SECONDS: Final = 0.2
"""How long a command's answer waits until its folder is empty; of millions of files the rest goes in the background."""

_threads = ThreadPoolExecutor(2, thread_name_prefix="temporary")


class TemporaryFolders:
    """The folder that they lie in: one of this user's in the system's temporary place, unless another is given."""

    def __init__(self, beneath: Path | None = None) -> None:
        self.beneath = beneath or Path(tempfile.gettempdir(), f"orchestrator-commands-{os.geteuid()}")

    @asynccontextmanager
    async def new(self) -> AsyncIterator[Path]:
        """A new folder that the owner alone can enter; it is gone afterwards, or soon.

        Raises `SandboxUnavailableError`.
        """
        path, lock = self._make()
        try:
            yield path
        finally:
            removal = asyncio.get_running_loop().run_in_executor(_threads, _remove_locked, path, lock)
            await asyncio.wait([removal], timeout=REMOVE_SECONDS)

    def sweep(self) -> int:
        """Removes the folders that processes which are gone have left. Returns how many. Blocks.

        Where there can be no such folders, nothing happens: whoever wants a new one is told.
        """
        try:
            stale = self._stale()
        except SandboxUnavailableError:
            return 0
        for name, lock in stale.items():
            _remove_locked(self.beneath / name, lock)
        return len(stale)

    def _stale(self) -> dict[str, int]:
        """The names that nobody uses, each with the handle that locks it now."""
        with self._place() as place:
            fcntl.flock(place, fcntl.LOCK_EX)  # none is just being made
            names = os.listdir(place)  # noqa: PTH208  by its handle
            return {name: lock for name in names if (lock := _lock_stale(place, name)) is not None}

    def _make(self) -> tuple[Path, int]:
        """A new folder, and the handle that holds its lock."""
        with self._place() as place:
            fcntl.flock(place, fcntl.LOCK_SH)
            try:
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.beneath))
                lock = os.open(path, FOLDER)
            except OSError as error:
                raise SandboxUnavailableError(f"{self.beneath} takes no temporary folder: {error.strerror}.") from error
            fcntl.flock(lock, fcntl.LOCK_EX)
        return path, lock

    @contextmanager
    def _place(self) -> Iterator[int]:
        """A handle to the folder that they lie in, which is made where it is missing, and nobody else's."""
        try:
            self.beneath.mkdir(OWNER_ALONE, exist_ok=True)
            handle = os.open(self.beneath, FOLDER)
        except OSError as error:
            raise SandboxUnavailableError(f"{self.beneath} cannot hold temporary folders: {error.strerror}.") from error
        try:
            if os.fstat(handle).st_uid != os.geteuid():
                raise SandboxUnavailableError(f"{self.beneath} cannot hold temporary folders: it is somebody else's.")
            yield handle
        finally:
            os.close(handle)


def _lock_stale(place: int, name: str) -> int | None:
    """The lock of a folder that nobody uses; None for one in use, and for what is no such folder."""
    if not name.startswith(PREFIX):
        return None
    try:
        lock = os.open(name, FOLDER, dir_fd=place)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove_locked(path: Path, lock: int) -> None:
    """What cannot be removed now is left to a later sweep."""
    try:
        with suppress(OSError):
            remove(path)
    finally:
        os.close(lock)


def remove(path: Path) -> None:
    """Removes a folder and all in it, however deep, following no link."""
    root = os.open(path, FOLDER)
    try:
        _empty(root)
    finally:
        os.close(root)
    path.rmdir()


def _empty(root: int) -> None:
    """Every folder met is moved up into the first one, so that no depth is too great and no name too long."""
    moved = 0
    folders = _clear_files(root)
    while folders:
        name = folders.pop()
        folder = _enter(root, name)
        try:
            for child in _clear_files(folder):
                moved += 1
                flat = f"{PREFIX}{moved}"
                while flat in folders:
                    flat += "-"
                os.chmod(child, OWNER_ALONE, dir_fd=folder)
                os.rename(child, flat, src_dir_fd=folder, dst_dir_fd=root)
                folders.append(flat)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=root)


def _enter(root: int, name: str) -> int:
    """A handle to the folder, also where the command took the owner's right to it."""
    os.chmod(name, OWNER_ALONE, dir_fd=root)
    return os.open(name, FOLDER, dir_fd=root)


def _clear_files(folder: int) -> list[str]:
    """Removes what is not a folder. Returns the names of what is."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=folder)
    return folders
