"""Several changes that happen together or not at all.

Together means: to this process's other writers, and unless the machine stops in the midst; each file is whole then too.
"""

import os
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from tools.base import ToolError
from tools.workspace.confinement.names import SecretNames
from tools.workspace.confinement.opening import READ_DIRECTORY
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.limits import Limits
from tools.workspace.refusals import refuse_folder_path, telling_of
from tools.workspace.writing import Change, Changed, Place, make_durable


class Batch:
    """Changes that are prepared one by one and then made.

    A context manager, which leaves no trace of what was not made.
    """

    def __init__(self, resolver: Resolver, secret_names: SecretNames, limits: Limits) -> None:
        self._resolver = resolver
        self._secret_names = secret_names
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
        if not self._complete:
            self._remove_made_folders()

    def prepare(self, parts: Parts, change: Change) -> None:
        """Stages a change, making the folders that it needs. Raises `ToolError` and `OSError`."""
        self._resolver.follow(parts, lambda real: self._prepare(real, change))

    def _prepare(self, real: Parts, change: Change) -> None:
        if not real:
            raise ToolError("The path is the workspace itself: give the path of a file in it.", code="not_allowed")
        refuse_folder_path(change.path)
        self._secret_names.refuse(real)
        if any(place.parts == real for place in self._places):
            raise ToolError(f"{shown(joined(real))} is changed twice: give one change a file.", code="invalid_params")
        folder = self._folder(real[:-1], make=_may_create(change))
        place = Place(folder, real, change, self._limits.max_hash_bytes)
        with ExitStack() as unless_staged:
            unless_staged.callback(place.close)
            place.check()
            place.stage()
            unless_staged.pop_all()
        self._places.append(place)

    def _folder(self, parts: Parts, *, make: bool) -> int:
        """A handle to the folder, which is made where it may be."""
        try:
            return self._resolver.open(parts, READ_DIRECTORY)
        except FileNotFoundError:
            if not make or not parts:
                raise
        parent = self._folder(parts[:-1], make=True)
        try:
            with suppress(FileExistsError):
                os.mkdir(parts[-1], dir_fd=parent)
                self._made_folders.append(parts)
                make_durable(parent)
            return os.open(parts[-1], READ_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        finally:
            os.close(parent)

    def commit(self) -> tuple[Changed, ...]:
        """Makes all changes, in their order. Raises `ToolError`, having undone those that were made before."""
        for place in self._places:
            with telling_of(joined(place.parts)):
                place.check()
        try:
            results = tuple(self._publish(place) for place in self._places)
        except ToolError as error:
            self._undo(error)
            raise
        self._complete = True
        return results

    def _undo(self, reason: ToolError) -> None:
        """Raises `ToolError` where a file could not be brought back."""
        lost: list[str] = []
        for place in reversed(self._published):
            try:
                place.undo()
            except OSError:
                lost.append(joined(place.parts))
        if lost:
            raise ToolError(
                f"{reason} These were changed and could not be put back: {lost}.", code="failed"
            ) from reason

    def _publish(self, place: Place) -> Changed:
        with telling_of(joined(place.parts)):
            if len(self._places) > 1:
                place.keep()
            changed = place.publish()
        self._published.append(place)
        return changed

    def _remove_made_folders(self) -> None:
        """Those that are still empty."""
        for parts in reversed(self._made_folders):
            with suppress(OSError):
                parent = self._resolver.open(parts[:-1], READ_DIRECTORY)
                try:
                    os.rmdir(parts[-1], dir_fd=parent)
                finally:
                    os.close(parent)


def _may_create(change: Change) -> bool:
    """Whether the file may be new, so that its folder may be too."""
    return change.data is not None and change.expected_sha256 is None
