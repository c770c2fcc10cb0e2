"""A new bare repository of the service's own, outside of all workspaces, in which the names of objects are checked.

What a workspace says about an object may be wrong: its index, its replacements or its graph of commits may be made up.
`git index-pack` computes the name of each object from its content.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tools.base import ToolError
from tools.committing.writable import input_of
from tools.git.hardening import WRITING_SETTINGS
from tools.git.limits import MIB, Limits
from tools.git.running import Place, run_git
from tools.workspace import Deadline

OWNER_ONLY: Final = 0o700
CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
HEAD: Final = "ref: refs/heads/none\n"
KEPT_SECONDS: Final = 86_400
"""Seconds until what a killed process left is removed."""

MAX_BYTES: Final = 64 * MIB
"""Bytes of all objects of a pull request, without compression."""

LIMITS: Final = Limits(max_seconds=60, max_output_bytes=MAX_BYTES)
ONE_THREAD: Final = ("--threads=1",)


class Object(msgspec.Struct, frozen=True):
    """An object whose name was checked."""

    sha: str
    kind: str
    content: bytes


class PrivateRepository:
    """A repository that only one call uses: bare, or in the folder `.git` of its work tree."""

    def __init__(self, folder: int, deadline: Deadline, limits: Limits = LIMITS, *, is_bare: bool = True) -> None:
        self._folder = folder
        self._is_bare = is_bare
        self._deadline = deadline
        self._limits = limits

    def git(self, *arguments: str, input_: bytes | int | None = None, max_file_bytes: int = MAX_BYTES) -> bytes:
        """Return the output of git. Raises `ToolError`."""
        if isinstance(input_, bytes):
            with input_of(input_) as handle:
                return self.git(*arguments, input_=handle, max_file_bytes=max_file_bytes)
        place = Place(
            cwd=self._folder,
            writable=(self._folder,),
            input=input_,
            settings=WRITING_SETTINGS,
            is_bare=self._is_bare,
            max_file_bytes=max_file_bytes,
        )
        done = run_git(arguments, place, self._limits, self._deadline)
        if not done.complete:
            raise ToolError(f"It is more than {self._limits.max_output_bytes} bytes.", code="too_large")
        if done.exit_code != 0:
            raise ToolError("git could not read the objects: they are damaged or incomplete.", code="failed")
        return done.output

    def add_pack(self, pack: bytes) -> None:
        """Add the objects of a pack. Raises `ToolError`."""
        self.git("index-pack", *ONE_THREAD, "--stdin", input_=pack)

    def objects(self, names: list[str]) -> list[Object]:
        """Return objects by their names. Raises `ToolError` if one is missing."""
        output = self.git("cat-file", "--batch", "--buffer", input_="".join(f"{name}\n" for name in names).encode())
        found, position = [], 0
        for name in names:
            end = output.find(b"\n", position)
            header = output[position:end].decode(errors="replace").split()
            if len(header) != 3 or header[0] != name:
                raise ToolError("The repository does not have all objects of its commits.", code="failed")
            size = int(header[2])
            found.append(Object(name, header[1], output[end + 1 : end + 1 + size]))
            position = end + 1 + size + 1
        return found


@contextmanager
def private_folder(beneath: Path) -> Iterator[Path]:
    """Make a new folder `beneath` another, and remove it afterwards. Raises `ToolError` if that is not possible."""
    try:
        beneath.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        for left in beneath.iterdir():
            # A process that was killed could not remove its own.
            if left.lstat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=beneath, prefix="git-", ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        raise ToolError(f"The service's own folder cannot be used: {error.strerror}.", code="failed") from error


def write_layout(folder: Path, head: str = HEAD, config: str = CONFIG) -> None:
    """Write what makes a folder an empty repository. Raises `OSError`."""
    for part in ("objects/pack", "objects/info", "refs/heads"):
        (folder / part).mkdir(OWNER_ONLY, parents=True)
    (folder / "config").write_text(config)
    (folder / "HEAD").write_text(head)


@contextmanager
def private_repository(beneath: Path, deadline: Deadline) -> Iterator[PrivateRepository]:
    """Make a bare repository `beneath` a folder, and remove it afterwards. Raises `ToolError`."""
    with private_folder(beneath) as folder:
        write_layout(folder)
        with opened(folder) as handle:
            yield PrivateRepository(handle, deadline)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Yield a handle of a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
