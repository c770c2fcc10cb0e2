"""The workspace: the only way to the files that tools may use."""

import copy
import os
import stat
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from tools.base import Permits, Record, ToolError
from tools.workspace.batch import Batch
from tools.workspace.confinement.files import File, Folder
from tools.workspace.confinement.names import SecretNames, refuse_hidden
from tools.workspace.confinement.opening import (
    DIRECTORY,
    READ_DIRECTORY,
    READ_FILE,
    READ_NAME,
    Confinement,
    Opener,
    WorkspaceUnavailableError,
    choose_opener,
    link_error,
)
from tools.workspace.confinement.paths import Parts, joined, parse, shown
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.deadline import Deadline
from tools.workspace.foreign import ForeignFolders
from tools.workspace.limits import Limits
from tools.workspace.quota import Quota
from tools.workspace.refusals import not_regular, refuse_folder_path, tool_error, tool_errors
from tools.workspace.walking import EVERYTHING, Entry, Walk, Wanted, entry_of
from tools.workspace.writing import Change, Changed

DEFAULT_LIMITS = Limits()
DEFAULT_SECRET_NAMES = SecretNames()


class Workspace:
    """The files below one folder, and no others, whatever paths, links and names are given.

    Paths are relative to the base, or absolute and inside it. Relative links that stay inside are followed. Only
    regular files are opened. Git's own folder is never opened, and secrets are only listed by name. All calls block,
    and any thread may make them. Changes of this process happen one at a time; other processes are not locked out.

    Calls raise `ToolError`: `invalid_params`, `outside_workspace`, `not_found`, `not_allowed`, `too_large`,
    `workspace_full`, `conflict`, `failed`.
    """

    def __init__(
        self,
        base: Path,
        *,
        limits: Limits = DEFAULT_LIMITS,
        secret_names: SecretNames = DEFAULT_SECRET_NAMES,
        opener: Opener | None = None,
    ) -> None:
        """Open the folder `base`, and hold it until `close`.

        Raises `WorkspaceUnavailableError` if it is not a folder, or if this machine cannot confine paths.
        """
        self.base = base.resolve()
        self.limits = limits
        self.secret_names = secret_names
        # An absolute path may name the base as it is configured, or as it is without links.
        self.roots = (str(base.absolute()), str(self.base))
        try:
            self._handle = os.open(self.base, DIRECTORY)
        except OSError as error:
            raise WorkspaceUnavailableError(f"The workspace {base} cannot be opened: {error.strerror}.") from error
        self._opener = opener or choose_opener(self._handle)
        self._resolver = Resolver(self._handle, self._opener)
        self._writing = threading.Lock()
        self._close = weakref.finalize(self, os.close, self._handle)
        self.permits: Permits | None = None
        self.quota: Quota | None = None
        self.foreign = ForeignFolders(self.base)
        self._record: Record | None = None
        self._original: Workspace | None = None

    def restricted(self, permits: Permits | None, record: Record | None = None) -> Self:
        """Return the same workspace for one call, with its own `permits` and `record`. Do not close it.

        Each file must also pass `permits`. `record` takes each change before it is made.
        """
        made = copy.copy(self)
        # The copy keeps the workspace, which closes the folder when nothing uses it any more.
        made._original = self
        made.permits = permits
        made._record = record
        return made

    @property
    def confinement(self) -> Confinement:
        """The way in which paths are confined: by the kernel, or name by name."""
        return self._opener.confinement

    def close(self) -> None:
        """Close the folder. No other call is possible afterwards."""
        self._close()

    def open_file(self, path: str) -> File:
        """Open the regular file at the path for reading."""

        def use(real: Parts) -> File:
            refuse_folder_path(path)
            _check_usable(self, real)
            return File(self._resolver.open(real, READ_FILE), real)

        with tool_errors(path):
            return _regular(self._resolver.follow(self._parse(path), use))

    def open_entry(self, walk: Walk, entry: Entry) -> File:
        """Open the regular file that a walk yields for reading. If a link has replaced it, this is a `conflict`."""
        _check_usable(self, entry.parts)
        try:
            return _regular(File(os.open(entry.parts[-1], READ_NAME, dir_fd=walk.handle), entry.parts))
        except OSError as error:
            raise tool_error(error, entry.path) from error

    def open_folder(self, path: str) -> Folder:
        """Open the folder at the path."""
        with tool_errors(path):
            return self._resolver.follow(
                self._parse(path), lambda real: Folder(self._resolver.open(real, READ_DIRECTORY), real)
            )

    def read_bytes(self, path: str, max_bytes: int | None = None) -> bytes:
        """Return the content of a file of at most `max_bytes`; by default, of at most `limits.max_read_bytes`."""
        with self.open_file(path) as file:
            return file.read(self.limits.max_read_bytes if max_bytes is None else max_bytes)

    def entry(self, path: str) -> Entry:
        """Return the entry at the path, after links are followed."""

        def use(real: Parts) -> Entry:
            _check_permitted(self.permits, real)
            handle = self._resolver.open(real[:-1], DIRECTORY)
            try:
                status = os.lstat(real[-1] if real else ".", dir_fd=handle)
            finally:
                os.close(handle)
            if stat.S_ISLNK(status.st_mode):
                raise link_error()
            return entry_of(real, status)

        with tool_errors(path):
            return self._resolver.follow(self._parse(path), use)

    def walk(self, folder: Entry, *, recursive: bool, deadline: Deadline, wanted: Wanted = EVERYTHING) -> Walk:
        """Return the wanted entries of a folder; with `recursive`, also of its subfolders."""
        return Walk(
            self._resolver,
            folder.parts,
            recursive=recursive,
            limits=self.limits,
            deadline=deadline,
            permits=self.permits,
            wanted=wanted,
        )

    def write(
        self, path: str, data: bytes, *, create_only: bool = False, expected_sha256: str | None = None
    ) -> Changed:
        """Write a whole file, and make the folders that it needs. See `apply`."""
        change = Change(path=path, data=data, create_only=create_only, expected_sha256=expected_sha256)
        return self.apply((change,))[0]

    def apply(self, changes: Sequence[Change], deadline: Deadline | None = None) -> tuple[Changed, ...]:
        """Make all of the changes, or none. The deadline counts until the first of them is made."""
        with Batch(self._resolver, partial(_check_usable, self), self.limits) as batch:
            for change in changes:
                size = len(change.data or b"")
                if size > self.limits.max_write_bytes:
                    raise ToolError(
                        f"The content for {shown(change.path)} has {size} bytes: the maximum for one file is "
                        f"{self.limits.max_write_bytes}.",
                        code="too_large",
                    )
                with tool_errors(change.path):
                    batch.prepare(self._parse(change.path), change)
            # Staging may run in parallel. The checks and the renames of a batch may not: a change of another batch
            # between them would be overwritten.
            with self._writing:
                if deadline:
                    deadline.check()
                growth = batch.growth() if self.quota else (0, 0)
                if self.quota:
                    self.quota.check(*growth)
                if self._record:
                    self._record(batch.replaced())
                changed = batch.commit()
                if self.quota:
                    self.quota.add(*growth)
                return changed

    def check_writable(self, path: str) -> None:
        """Check that a file may be written here, whether or not it exists. Raises `ToolError`."""
        with tool_errors(path):
            real = self._resolver.without_links(self._parse(path))
            refuse_hidden(real)
            _check_usable(self, real)

    def named(self, path: str, *, follow: bool = False) -> str:
        """Return the path in its canonical form for rules: relative, without `.` and `..`; `follow` follows links."""
        try:
            parts = self._parse(path)
            if follow:
                return joined(self._resolver.without_links(parts))
        except (ToolError, OSError):
            # Nothing can be opened at such a path: a rule may match the text itself.
            return self.named(path) if follow else path
        return os.path.normpath(joined(parts))

    def _parse(self, path: str) -> Parts:
        return parse(path, self.roots, self.limits.max_path_depth)


def _check_usable(workspace: Workspace, real: Parts) -> None:
    """Raise `ToolError` if no file tool, or not this call, may use the file."""
    workspace.secret_names.refuse(real)
    _check_permitted(workspace.permits, real)


def _check_permitted(permits: Permits | None, real: Parts) -> None:
    # The message must not name the target of a link, or the file of a caller who may not know that it exists.
    if permits and not permits(joined(real)):
        raise ToolError("TOOL_POLICY does not let this call use one of its files.", code="denied")


def _regular(file: File) -> File:
    """Return the file if it is a regular one. Otherwise close it, and raise `ToolError`."""
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        with file:
            raise not_regular(mode, file.path)
    return file
