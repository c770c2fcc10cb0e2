"""Several changes of files that are made together or not at all.

Other writers of this process never see a part of them. If the machine stops halfway, each file still has either its old
or its new content.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from tools.base import ToolError
from tools.workspace.confinement.opening import READ_DIRECTORY
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.limits import Limits
from tools.workspace.refusals import refuse_folder_path, tool_errors
from tools.workspace.writing import Change, Changed, Place, Replaced, make_durable


class Batch:
    """Changes that are prepared one by one and then made together. A context manager, which cleans up."""

    def __init__(self, resolver: Resolver, refuse: Callable[[Parts], None], limits: Limits) -> None:
        """`refuse` raises `ToolError` for a file that may not be changed."""
        self._resolver = resolver
        self._refuse = refuse
        self._limits = limits
        self._places: list[Place] = []
        self._made_folders: list[Parts] = []
        self._published: list[Place] = []
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self._places:
            place.close()
        if self._complete:
            return
        for parts in reversed(self._made_folders):
            # A folder that is no longer empty stays: another process put something into it.
            with suppress(OSError):
                parent = self._resolver.open(parts[:-1], READ_DIRECTORY)
                try:
                    os.rmdir(parts[-1], dir_fd=parent)
                finally:
                    os.close(parent)

    def prepare(self, parts: Parts, change: Change) -> None:
        """Stage a change, and make the folders that it needs. Raises `ToolError` and `OSError`."""
        self._resolver.follow(parts, lambda real: self._prepare(real, change))

    def _prepare(self, real: Parts, change: Change) -> None:
        if not real:
            raise ToolError("The path is the workspace itself: give the path of a file in it.", code="not_allowed")
        refuse_folder_path(change.path)
        self._refuse(real)
        if any(place.parts == real for place in self._places):
            raise ToolError(f"{shown(joined(real))} is changed twice: give one change a file.", code="invalid_params")
        # A change that removes, or that expects a content, needs an existing file, so its folder must exist too.
        make = change.data is not None and change.expected_sha256 is None
        place = Place(self._folder(real[:-1], make=make), real, change, self._limits.max_hash_bytes)
        with ExitStack() as unless_staged:
            unless_staged.callback(place.close)
            place.check()
            place.stage()
            unless_staged.pop_all()
        self._places.append(place)

    def _folder(self, parts: Parts, *, make: bool) -> int:
        """Return a handle to the folder. With `make`, a missing folder is made."""
        try:
            return self._resolver.open(parts, READ_DIRECTORY)
        except FileNotFoundError:
            if not make or not parts:
                raise
        parent = self._folder(parts[:-1], make=True)
        try:
            # Another process may make the folder at the same time; then it is not ours to remove.
            with suppress(FileExistsError):
                os.mkdir(parts[-1], dir_fd=parent)
                self._made_folders.append(parts)
                make_durable(parent)
            return os.open(parts[-1], READ_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        finally:
            os.close(parent)

    def growth(self) -> tuple[int, int]:
        """Return by how many files, and by how many bytes, the workspace will grow."""
        grown = [place.growth() for place in self._places]
        return sum(files for files, _ in grown), sum(size for _, size in grown)

    def replaced(self) -> tuple[Replaced, ...]:
        """Return what `commit` will change. Raises `ToolError`."""
        found: list[Replaced] = []
        for place in self._places:
            with tool_errors(joined(place.parts)):
                found.append(place.replaced(self._limits.max_kept_bytes))
        return tuple(found)

    def commit(self) -> tuple[Changed, ...]:
        """Make all changes in order. After an error, undo those that were made, and raise `ToolError`."""
        # Staging takes time, so a file may have changed since it was checked there.
        for place in self._places:
            with tool_errors(joined(place.parts)):
                place.check()
        results: list[Changed] = []
        try:
            for place in self._places:
                with tool_errors(joined(place.parts)):
                    if len(self._places) > 1:
                        place.keep()
                    results.append(place.publish())
                self._published.append(place)
        except ToolError as error:
            self._undo(error)
            raise
        self._complete = True
        return tuple(results)

    def _undo(self, reason: ToolError) -> None:
        """Undo the changes that were made. Raises `ToolError` if a file cannot be restored."""
        lost: list[str] = []
        for place in reversed(self._published):
            try:
                place.undo()
            except OSError:
                lost.append(joined(place.parts))
        if lost:
            raise ToolError(
                f"{reason} These files were changed and could not be restored: {lost}.", code="failed"
            ) from reason
