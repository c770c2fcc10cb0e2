"""Putting whole files in place, several of them all or none.

A file's new content is written beside it without a name, or under one that nobody can guess, made durable, and renamed
over it by the handle of their folder. So there is always one whole file, and a write through a link replaces what it
leads to. A hard link to the old content keeps the old content; extended attributes are not carried over.
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
from tools.workspace.confinement.opening import link_met
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.refusals import not_regular

NEW_FILE_MODE = 0o666
PRIVATE_MODE = 0o600
WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE_UNNAMED = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
OPEN_FILE = "/proc/self/fd/{}"
UNSUPPORTED = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
READ_NAME = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one file is to become: `data`, or nothing at all where that is None.

    `create_only`: it must not exist yet. `expected_sha256`: it must have this content now. `executable`: None leaves
    that as it is.
    """

    path: str
    data: bytes | None
    create_only: bool = False
    expected_sha256: str | None = None
    executable: bool | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What one file has become. `path` is the file's own, without links; a removed one has size 0 and no hash."""

    path: str
    size: int
    sha256: str | None
    created: bool


class Place:
    """A name in an open folder, and the change that is to happen to it.

    The steps are: `check`, `stage`, then for all places of a batch together `check`, `keep` and `publish`; `undo` what
    was published where a later one fails; `close` in any case.
    """

    def __init__(self, folder: int, parts: Parts, change: Change, max_hash_bytes: int) -> None:
        """Owns the handle `folder` from now on."""
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
        """Raises `ToolError` (`conflict`, `not_found`, `not_allowed`) where the file is not as the change wants it."""
        path = joined(self.parts)
        status = self._status()
        self._existed = status is not None
        if status is None:
            if self._change.expected_sha256 or self._change.data is None:
                raise ToolError(f"{shown(path)} does not exist, so it cannot be changed.", code="not_found")
            return
        if self._change.create_only:
            raise ToolError(f"{shown(path)} exists already, and was to be created only.", code="conflict")
        if stat.S_ISLNK(status.st_mode):
            raise link_met()
        if not stat.S_ISREG(status.st_mode):
            raise not_regular(status.st_mode, path)
        if not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise ToolError(f"{shown(path)} is read-only: its mode lets nobody write it.", code="not_allowed")
        if self._change.expected_sha256:
            self._compare(self._change.expected_sha256.lower(), path)

    def _compare(self, expected: str, path: str) -> None:
        with File(os.open(self._name, READ_NAME, dir_fd=self._folder), self.parts) as file:
            found = file.sha256(self._max_hash_bytes)
        if found != expected:
            raise ToolError(
                f"{shown(path)} has changed: its SHA-256 is {found}, not {expected}. Read it again.", code="conflict"
            )

    def stage(self) -> None:
        """Writes the new content beside the file, with the file's owner and mode, and makes it durable.

        It has no name until it is published, where the filesystem allows that: then nothing is left of it by a crash.
        """
        if self._change.data is None:
            return
        status = self._status()
        mode = NEW_FILE_MODE if status is None else PRIVATE_MODE
        self._unnamed = _unnamed_file(self._folder, mode)
        handle = self._named_file(mode) if self._unnamed is None else self._unnamed
        try:
            _write_all(handle, self._change.data)
            self._set_mode(handle, status or os.fstat(handle))
            os.fsync(handle)
        finally:
            if handle != self._unnamed:
                os.close(handle)

    def _named_file(self, mode: int) -> int:
        self._staged = self._unguessable()
        return os.open(self._staged, WRITE_NEW, mode, dir_fd=self._folder)

    def _set_mode(self, handle: int, like: os.stat_result) -> None:
        """The owner where possible, and the permissions; a set-user-id bit ends with the content that had it."""
        own = os.fstat(handle)
        if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            with suppress(PermissionError):
                os.fchown(handle, like.st_uid, like.st_gid)
        mode = like.st_mode & (stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        executable = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
        if self._change.executable is not None:
            readers = (mode & (stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)) >> 2
            mode = (mode & ~executable) | (readers if self._change.executable else 0)
        os.fchmod(handle, mode)

    def keep(self) -> None:
        """Gives the old file a second name, from which `undo` brings it back."""
        if self._existed:
            kept = self._unguessable()
            os.link(self._name, kept, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
            self._kept = kept

    def publish(self) -> Changed:
        """Makes the change visible, in one step. Raises `FileExistsError` where a file that must not exist appeared."""
        if self._change.data is None:
            os.unlink(self._name, dir_fd=self._folder)
        elif self._change.create_only:
            self._link_to(self._name)
        else:
            if self._staged is None:
                self._staged = self._unguessable()
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
        """Gives the new content a name that is not there yet. Source: open(2), `O_TMPFILE`."""
        if self._unnamed is not None:
            os.link(OPEN_FILE.format(self._unnamed), name, dst_dir_fd=self._folder, follow_symlinks=True)
        elif self._staged is not None:
            os.link(self._staged, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)

    def undo(self) -> None:
        """Takes `publish` back."""
        if self._kept is None:
            os.unlink(self._name, dir_fd=self._folder)
        else:
            os.rename(self._kept, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        make_durable(self._folder)

    def close(self) -> None:
        """Removes the names that only the change needed, and closes the folder."""
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
    def _unguessable() -> str:
        return f".{secrets.token_hex(16)}.partial"


def make_durable(folder: int) -> None:
    """Syncs a folder whose names have changed; a filesystem that cannot do so does not undo the change."""
    with suppress(OSError):
        os.fsync(folder)


def _unnamed_file(folder: int, mode: int) -> int | None:
    """A new file in the folder that has no name; None where the filesystem, or a missing /proc, does not allow it."""
    try:
        handle = os.open(".", WRITE_UNNAMED, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return None
        raise
    if Path(OPEN_FILE.format(handle)).exists():
        return handle
    os.close(handle)
    return None


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
