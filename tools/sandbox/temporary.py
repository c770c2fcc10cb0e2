"""A command's own temporary folder: made for it, and emptied after it whatever it left there."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PREFIX = "command-"
OWNER_ALONE = 0o700
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@asynccontextmanager
async def temporary_folder(beneath: Path | None = None) -> AsyncIterator[Path]:
    """A new folder that the owner alone can enter; it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beneath))
    try:
        yield path
    finally:
        await asyncio.to_thread(remove, path)


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
