"""Atomic writes of whole files.

New content is written beside the file, without a name or under a random one. It is synced to disk, then renamed over
the file through the handle of the folder. A reader always finds one whole file, and a write through a link replaces the
target. A hard link to the old content keeps it; extended attributes are lost.
"""

import errno
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from tools.base import ToolError
from tools.workspace.confinement.files import File
from tools.workspace.confinement.opening import link_error
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.refusals import not_regular

# The process's umask applies to a new file. A replacement is private until it has the mode of the old file.
NEW_FILE_MODE = 0o666
PRIVATE_MODE = 0o600
WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE_UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
OPEN_FILE = "/proc/self/fd/{}"
# open(2): filesystems and kernels without O_TMPFILE return one of these.
UNSUPPORTED = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
READ_NAME = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a file: its new `data`; None removes it.

    With `create_only` it must not exist yet. With `expected_sha256` it must have this content now. An `executable` of
    None leaves the permission unchanged.
    """

    path: str
    data: bytes | None
    create_only: bool = False
    expected_sha256: str | None = None
    executable: bool | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file. `path` is its path without links; a removed file has size 0 and no hash."""

    path: str
    size: int
    sha256: str | None
    created: bool


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """A file before and after a change that is about to be made; None is a file that does not exist.

    A file of over `max_kept_bytes` has a `before_size` and no content.
    """

    path: str
    before: bytes | None
    before_size: int
    was_executable: bool
    after: bytes | None
    is_executable: bool


class Place:
    """A name in an open folder, and the change that will be made to it.

    - `check` and `stage`, for each place
    - `check`, `keep` and `publish`, for all places of a batch
    - `undo`, if a later place fails
    - `close`, in any case
    """

    def __init__(self, folder: int, parts: Parts, change: Change, max_hash_bytes: int) -> None:
        """Take over the handle `folder`; `close` closes it."""
        self._folder = folder
        self._name = parts[-1]
        self._change = change
        self._max_hash_bytes = max_hash_bytes
        self._staged: str | None = None
        self._unnamed: int | None = None
        self._kept: str | None = None
        self._existed = False
        self.parts = parts

    def check(self) -> None:
        """Check that the file is as expected. Raises `ToolError`: `conflict`, `not_found`, `not_allowed`."""
        path = joined(self.parts)
        status = self._status()
        self._existed = status is not None
        if status is None:
            if self._change.expected_sha256 or self._change.data is None:
                raise ToolError(f"{shown(path)} does not exist, so it cannot be changed.", code="not_found")
            return
        if self._change.create_only:
            raise ToolError(f"{shown(path)} exists already, and create_only is set.", code="conflict")
        if stat.S_ISLNK(status.st_mode):
            raise link_error()
        if not stat.S_ISREG(status.st_mode):
            raise not_regular(status.st_mode, path)
        # A rename needs no permission for the file itself, so its mode is respected here.
        if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise ToolError(f"{shown(path)} is read-only: its mode allows no writing.", code="not_allowed")
        if self._change.expected_sha256:
            expected = self._change.expected_sha256.lower()
            with File(os.open(self._name, READ_NAME, dir_fd=self._folder), self.parts) as file:
                found = file.sha256(self._max_hash_bytes)
            if found != expected:
                raise ToolError(
                    f"{shown(path)} has changed: its SHA-256 is {found}, not {expected}. Read it again.",
                    code="conflict",
                )

    def stage(self) -> None:
        """Write the new content beside the file, with the file's owner and mode, and sync it to disk."""
        if self._change.data is None:
            return
        status = self._status()
        mode = NEW_FILE_MODE if status is None else PRIVATE_MODE
        # A file without a name disappears by itself after a crash. Not every filesystem has such files.
        self._unnamed = handle = _unnamed_file(self._folder, mode)
        if handle is None:
            self._staged = self._random_name()
            handle = os.open(self._staged, WRITE_NEW, mode, dir_fd=self._folder)
        try:
            # A write may take only a part of the bytes.
            rest = memoryview(self._change.data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            self._set_mode(handle, status or os.fstat(handle))
            os.fsync(handle)
        finally:
            if handle != self._unnamed:
                os.close(handle)

    def _set_mode(self, handle: int, like: os.stat_result) -> None:
        """Give the new file the owner, if possible, and the permissions of another."""
        own = os.fstat(handle)
        if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            with suppress(PermissionError):
                os.fchown(handle, like.st_uid, like.st_gid)
        # Set-user-ID and set-group-ID bits were given to the old content, not to this one.
        mode = like.st_mode & (stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        executable = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
        if self._change.executable is not None:
            readers = (mode & (stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)) >> 2
            mode = (mode & ~executable) | (readers if self._change.executable else 0)
        os.fchmod(handle, mode)

    def growth(self) -> tuple[int, int]:
        """Return the change of the number of files, and of their bytes."""
        status, data = self._status(), self._change.data
        files = (data is not None) - (status is not None)
        return files, len(data or b"") - (status.st_size if status else 0)

    def replaced(self, max_bytes: int) -> Replaced:
        """Return the file as it is, and as it will be. Raises `ToolError` and `OSError`."""
        status, before, size = self._status(), None, 0
        if status is not None:
            with File(os.open(self._name, READ_NAME, dir_fd=self._folder), self.parts) as file:
                size = file.size
                before = file.read(max_bytes) if size <= max_bytes else None
        was_executable = status is not None and bool(status.st_mode & stat.S_IXUSR)
        chosen = self._change.executable
        return Replaced(
            path=joined(self.parts),
            before=before,
            before_size=size if before is None else len(before),
            was_executable=was_executable,
            after=self._change.data,
            is_executable=self._change.data is not None and (was_executable if chosen is None else chosen),
        )

    def keep(self) -> None:
        """Give the old file a second name, from which `undo` restores it."""
        if self._existed:
            kept = self._random_name()
            os.link(self._name, kept, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
            self._kept = kept

    def publish(self) -> Changed:
        """Make the change visible in one step. Raises `FileExistsError` if a file that must not exist has appeared."""
        if self._change.data is None:
            os.unlink(self._name, dir_fd=self._folder)
        elif self._change.create_only:
            # A link fails if the name exists; a rename would replace the file.
            self._link_to(self._name)
        else:
            if self._staged is None:
                self._staged = self._random_name()
                self._link_to(self._staged)
            os.rename(self._staged, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        make_durable(self._folder)
        data = self._change.data
        return Changed(
            path=joined(self.parts),
            size=len(data or b""),
            sha256=None if data is None else hashlib.sha256(data).hexdigest(),
            created=not self._existed,
        )

    def _link_to(self, name: str) -> None:
        """Give the new content a name that does not exist yet. Source: open(2), `O_TMPFILE`."""
        if self._unnamed is not None:
            os.link(OPEN_FILE.format(self._unnamed), name, dst_dir_fd=self._folder, follow_symlinks=True)
        elif self._staged is not None:
            os.link(self._staged, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)

    def undo(self) -> None:
        """Reverse `publish`."""
        if self._kept is None:
            os.unlink(self._name, dir_fd=self._folder)
        else:
            os.rename(self._kept, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        make_durable(self._folder)

    def close(self) -> None:
        """Remove the temporary names, and close the folder."""
        for name in (self._staged, self._kept):
            if name is not None:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
        if self._unnamed is not None:
            os.close(self._unnamed)
        os.close(self._folder)

    def _status(self) -> os.stat_result | None:
        try:
            return os.lstat(self._name, dir_fd=self._folder)
        except FileNotFoundError:
            return None

    @staticmethod
    def _random_name() -> str:
        # Another writer in the folder must not be able to put a file or a link there first.
        return f".{secrets.token_hex(16)}.partial"


def make_durable(folder: int) -> None:
    """Sync a folder whose names have changed."""
    # Some filesystems cannot sync a folder. The change is made all the same.
    with suppress(OSError):
        os.fsync(folder)


def _unnamed_file(folder: int, mode: int) -> int | None:
    """Return a new file without a name in the folder; None if the filesystem or a missing /proc does not allow it."""
    try:
        handle = os.open(".", WRITE_UNNAMED, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return None
        raise
    # Without /proc the file could never be given its name.
    if Path(OPEN_FILE.format(handle)).exists():
        return handle
    os.close(handle)
    return None
