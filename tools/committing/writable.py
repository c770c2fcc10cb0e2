"""A repository that one call of a tool may change, and git runs that may write in it."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import msgspec

from tools.base import ToolError
from tools.committing.refusals import check
from tools.git.hardening import KNOWN_FILTERS, NO_SETTINGS, WRITING_SETTINGS
from tools.git.limits import MIB
from tools.git.repository import GIT, Repository, repository_of
from tools.git.revisions import one_revision
from tools.git.running import GitResult, Place, Runner
from tools.workspace import Deadline

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_FILE_BYTES: Final = 512 * MIB
"""Bytes of the largest file that git may write."""

MAX_FILTERS: Final = 100
LOCKS: Final = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock")
FILTERS: Final = ("config", "--name-only", "-z", "--get-regexp", r"^filter\..*\.(clean|smudge|process|required)$")


class WritableRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository with an open handle of its `.git`, which no other call of a tool changes meanwhile."""

    repository: Repository
    runner: Runner
    deadline: Deadline
    git_folder: int

    def read(self, *arguments: str, input_: bytes = b"", fails: bool = False) -> GitResult:
        """Run a git that writes nothing. Raises `ToolError`, unless it `fails`."""
        return self._run(arguments, input_, (), {}, {}, fails=fails)

    def write(
        self,
        *arguments: str,
        input_: bytes = b"",
        environment: Mapping[str, str] = NO_SETTINGS,
        work_tree: bool = False,
        filters_required: bool | None = None,
        branch: str = "",
    ) -> GitResult:
        """Run a git that may write in `.git`; with `work_tree`, also in the files. Raises `ToolError`.

        If `filters_required`, it fails for a file that a filter must convert. If not, such a file stays as it is.
        None is for a git that converts no files. `branch` is one that it may lock.
        """
        handles = (self.repository.folder.fileno() if work_tree else self.git_folder,)
        filters = {} if filters_required is None else self._filters(required=filters_required)
        settings = {**WRITING_SETTINGS, **filters}
        locks = (*LOCKS, f"refs/heads/{branch}.lock")
        before = [name for name in locks if self._has(name)]
        try:
            return self._run(arguments, input_, handles, settings, environment)
        except ToolError:
            # A git that was killed leaves its locks, and every later one would refuse to work.
            for name in locks:
                if name not in before:
                    with suppress(OSError):
                        os.unlink(name, dir_fd=self.git_folder)
            raise

    def commit_of(self, revision: str) -> str:
        """Return the hash of a commit; empty if there is no such commit."""
        argument = one_revision(revision).argument
        done = self.read("rev-parse", "--verify", "--quiet", "--end-of-options", argument, fails=True)
        return done.output.decode().strip() if done.exit_code == 0 else ""

    def _run(
        self,
        arguments: Sequence[str],
        input_: bytes,
        writable: tuple[int, ...],
        settings: Mapping[str, str],
        environment: Mapping[str, str],
        *,
        fails: bool = False,
    ) -> GitResult:
        with input_of(input_) as handle:
            place = Place(
                cwd=self.repository.folder.fileno(),
                writable=writable,
                input=handle,
                settings=settings or WRITING_SETTINGS,
                environment=environment,
                max_file_bytes=MAX_FILE_BYTES if writable else 0,
            )
            done = self.runner.run(arguments, self.repository.folder, self.deadline, place)
        if not fails:
            check(done, self.repository)
        return done

    def _filters(self, *, required: bool) -> Mapping[str, str]:
        """Return settings with which git fails for a file that a filter must convert, or leaves it as it is."""
        found = self.read(*FILTERS, fails=True).output.decode(errors="replace").split("\0")[:-1]
        names = {*KNOWN_FILTERS, *(name.split(".", 1)[1].rpartition(".")[0] for name in found)}
        if len(names) > MAX_FILTERS or any("=" in name for name in names):
            raise ToolError(
                f"{self.repository.shown} is a repository with settings for filters that are not supported here.",
                code="not_allowed",
            )
        return {f"filter.{name}.required": str(required).lower() for name in names}

    def _has(self, name: str) -> bool:
        try:
            os.lstat(name, dir_fd=self.git_folder)
        except OSError:
            return False
        return True


@contextmanager
def input_of(data: bytes) -> Iterator[int | None]:
    """Yield the handle of a file with the data, for a git's input; None for no data."""
    if not data:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


@contextmanager
def writable_repository(runner: Runner, path: str, deadline: Deadline) -> Iterator[WritableRepository]:
    """Open the repository of a path to change it.

    Raises `ToolError`: those of `repository_of`, `not_allowed` for a worktree or a submodule, and `conflict` while
    another call changes it.
    """
    with repository_of(runner.workspace, path) as repository, ExitStack() as opened:
        try:
            handle = os.open(GIT, FOLDER, dir_fd=repository.folder.fileno())
        except OSError as error:
            raise _elsewhere(repository) from error
        opened.callback(os.close, handle)
        writable = WritableRepository(repository=repository, runner=runner, deadline=deadline, git_folder=handle)
        with suppress(OSError):
            os.lstat("commondir", dir_fd=handle)
            raise _elsewhere(repository)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(
                f"Another call changes the repository {repository.shown} now: try again.", code="conflict"
            ) from None
        yield writable


def _elsewhere(repository: Repository) -> ToolError:
    return ToolError(
        f"{repository.shown} is a worktree or a submodule, whose git folder is elsewhere: only the repository that it "
        "belongs to can be changed.",
        code="not_allowed",
    )
