"""The workspace: the one way to the files that tools may touch."""

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from tools.base import ToolError
from tools.workspace.batch import Batch
from tools.workspace.confinement.files import File, Folder
from tools.workspace.confinement.names import SecretNames
from tools.workspace.confinement.opening import (
    DIRECTORY,
    READ_DIRECTORY,
    READ_FILE,
    Confinement,
    Opener,
    WorkspaceUnavailableError,
    choose_opener,
    link_met,
)
from tools.workspace.confinement.paths import Parts, parse, shown
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.refusals import not_regular, refuse_folder_path, telling_of
from tools.workspace.walking import Entry, Walk, entry_of
from tools.workspace.writing import Change, Changed

DEFAULT_LIMITS = Limits()
DEFAULT_SECRET_NAMES = SecretNames()


class Workspace:
    """The files beneath one folder, and nothing else, whatever paths, links and names say.

    Paths are relative to the base, or absolute and inside it. Relative links that stay inside are followed. Only
    regular files are opened; git's own folder never, and of secrets no more than the name is told. All calls block,
    and may come from any thread. Changes happen one after the other within this process; other processes are not bound
    by that.

    Calls raise `ToolError`: `invalid_params`, `outside_workspace`, `not_found`, `not_allowed`, `too_large`,
    `conflict`, `failed`.
    """

    def __init__(
        self,
        base: Path,
        *,
        limits: Limits = DEFAULT_LIMITS,
        secret_names: SecretNames = DEFAULT_SECRET_NAMES,
        opener: Opener | None = None,
    ) -> None:
        """Opens the folder `base`, which it holds until `close`.

        Raises `WorkspaceUnavailableError` where that is no folder, or where nothing here can confine.
        """
        self.base = base.resolve()
        self.limits = limits
        self.secret_names = secret_names
        self._roots = (str(base.absolute()), str(self.base))
        try:
            self._handle = os.open(self.base, DIRECTORY)
        except OSError as error:
            raise WorkspaceUnavailableError(f"The workspace {base} cannot be opened: {error.strerror}.") from error
        self._opener = opener or choose_opener(self._handle)
        self._resolver = Resolver(self._handle, self._opener)
        self._writing = threading.Lock()

    @property
    def confinement(self) -> Confinement:
        """How paths are held inside: by the kernel, or name by name."""
        return self._opener.confinement

    def close(self) -> None:
        """Lets go of the folder; nothing can be called afterwards."""
        os.close(self._handle)

    def open_file(self, path: str) -> File:
        """The regular file at the path, open for reading."""

        def use(real: Parts) -> File:
            refuse_folder_path(path)
            self.secret_names.refuse(real)
            return File(self._resolver.open(real, READ_FILE), real)

        with telling_of(path):
            return _regular(self._resolver.follow(self._parse(path), use))

    def open_entry(self, entry: Entry) -> File:
        """The regular file of a listing, open for reading; a link in its place by now is a `conflict`."""
        self.secret_names.refuse(entry.parts)
        with telling_of(entry.path):
            return _regular(File(self._resolver.open(entry.parts, READ_FILE), entry.parts))

    def open_folder(self, path: str) -> Folder:
        """The folder at the path."""
        with telling_of(path):
            return self._resolver.follow(
                self._parse(path), lambda real: Folder(self._resolver.open(real, READ_DIRECTORY), real)
            )

    def read_bytes(self, path: str, max_bytes: int | None = None) -> bytes:
        """All of a file: at most `max_bytes`, or what the limits say."""
        with self.open_file(path) as file:
            return file.read(self.limits.max_read_bytes if max_bytes is None else max_bytes)

    def entry(self, path: str) -> Entry:
        """What the path leads to, as a listing would show it."""

        def use(real: Parts) -> Entry:
            handle = self._resolver.open(real[:-1], DIRECTORY)
            try:
                status = os.lstat(real[-1] if real else ".", dir_fd=handle)
            finally:
                os.close(handle)
            if stat.S_ISLNK(status.st_mode):
                raise link_met()
            return entry_of(real, status)

        with telling_of(path):
            return self._resolver.follow(self._parse(path), use)

    def walk(self, folder: Entry, *, recursive: bool, deadline: Deadline) -> Walk:
        """What is in a folder."""
        return Walk(self._resolver, folder.parts, recursive=recursive, limits=self.limits, deadline=deadline)

    def write(
        self, path: str, data: bytes, *, create_only: bool = False, expected_sha256: str | None = None
    ) -> Changed:
        """Puts a whole file at the path, and the folders that it needs. See `apply`."""
        change = Change(path=path, data=data, create_only=create_only, expected_sha256=expected_sha256)
        return self.apply((change,))[0]

    def apply(self, changes: Sequence[Change], deadline: Deadline | None = None) -> tuple[Changed, ...]:
        """Makes all the changes, or none. The deadline is looked at until the first is made."""
        with Batch(self._resolver, self.secret_names, self.limits) as batch:
            for change in changes:
                self._check_size(change)
                with telling_of(change.path):
                    batch.prepare(self._parse(change.path), change)
            with self._writing:
                if deadline:
                    deadline.check()
                return batch.commit()

    def named(self, path: str) -> str:
        """The path in the one form that rules about it may look at: relative, without `.` and `..`.

        As it came, where no path beneath the base can be meant. What links make of it is not looked at.
        """
        try:
            parts = self._parse(path)
        except ToolError:
            return path
        return os.path.normpath("/".join(parts) or ".")

    def _check_size(self, change: Change) -> None:
        size = len(change.data or b"")
        if size > self.limits.max_write_bytes:
            raise ToolError(
                f"The content for {shown(change.path)} is {size} bytes long: at most {self.limits.max_write_bytes} "
                "are written to one file.",
                code="too_large",
            )

    def _parse(self, path: str) -> Parts:
        return parse(path, self._roots, self.limits.max_path_depth)


def _regular(file: File) -> File:
    """The file, if it is a regular one; else it is closed, and `ToolError` raised."""
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        with file:
            raise not_regular(mode, file.path)
    return file
