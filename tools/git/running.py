"""Running git on a repository of the workspace."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import msgspec

from tools.base import Permits, Record, ToolError
from tools.git.binding import GitError
from tools.git.hardening import ENVIRONMENT, NO_SETTINGS, hardened
from tools.git.installed import InstalledGit, installed_git
from tools.git.limits import Limits
from tools.git.process import Kept, started
from tools.sandbox import policy as sandbox
from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.policy import Policy, Report
from tools.sandbox.refusals import SandboxError
from tools.workspace import Deadline, Folder, Workspace

DEFAULT_LIMITS = Limits()
# The first version that does not follow links named `.gitattributes` and `.gitignore`.
OLDEST = (2, 32)
VERSION = re.compile(rb"git version (\d+)\.(\d+)")
PLACE = os.O_PATH | os.O_CLOEXEC
# The call stops git at its deadline; git's own limit is only for the case that the call could not.
GRACE_SECONDS = 1

# With these, git neither searches for a repository nor reads `core.worktree` (git(1)).
IN_THE_FOLDER: Mapping[str, str] = {"GIT_DIR": ".git", "GIT_WORK_TREE": "."}
BARE: Mapping[str, str] = {"GIT_DIR": "."}
NOTHING_OF_THE_SYSTEM: Mapping[str, str] = {"PATH": "", "HOME": os.devnull, "TMPDIR": os.devnull}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The folder in which git runs, and what it may reach. Each handle is open.

    `input` is its standard input, or else it is empty. `settings` and `environment` add to the hardened ones. No file
    that it writes is larger than `max_file_bytes`. `is_bare` is a repository without a work tree.
    """

    cwd: int
    readable: tuple[int, ...] = ()
    writable: tuple[int, ...] = ()
    input: int | None = None
    settings: Mapping[str, str] = NO_SETTINGS
    environment: Mapping[str, str] = NO_SETTINGS
    is_bare: bool = False
    max_file_bytes: int = 0


class GitResult(msgspec.Struct, frozen=True, kw_only=True):
    """The output of git; `complete` if nothing was cut off. `exit_code` is None if git was ended."""

    output: bytes
    complete: bool
    exit_code: int | None
    errors: bytes


class Runner:
    """Runs git. It can read one workspace; it can write nothing and run no other program.

    `git` is by default the machine's own.
    """

    def __init__(
        self, workspace: Workspace, *, limits: Limits = DEFAULT_LIMITS, git: InstalledGit | None = None
    ) -> None:
        self.workspace = workspace
        self.limits = limits
        self._git = git

    def restricted(self, permits: Permits | None, record: Record | None = None) -> "Runner":
        """Return the same runner for one call, which shows the content only of files that pass `permits`."""
        return Runner(self.workspace.restricted(permits, record), limits=self.limits, git=self._git)

    @property
    def confinement(self) -> str:
        """The level of the sandbox; empty if there is none."""
        try:
            return kernel_confinement().level
        except SandboxError:
            return ""

    def why_unavailable(self) -> str:
        """Return why git cannot run here, or an empty text. It runs git once, and blocks meanwhile."""
        try:
            kernel_confinement()
            _ = self._git or installed_git()
        except SandboxError as error:
            return str(error)
        try:
            with self.workspace.open_folder(".") as folder:
                result = self.run(("version",), folder, Deadline(self.limits.max_seconds))
        except ToolError as error:
            return str(error)
        version = VERSION.match(result.output)
        if version is None:
            return "git does not show its version."
        if tuple(map(int, version.groups())) < OLDEST:
            found = result.output.decode(errors="replace").strip()
            return f"{found} is too old: git {OLDEST[0]}.{OLDEST[1]} is needed."
        return ""

    def run(
        self, arguments: Sequence[str], folder: Folder, deadline: Deadline, place: Place | None = None
    ) -> GitResult:
        """Run a command of git in the folder with its `.git`, or in a `place`. It can read the workspace.

        Raises `ToolError` (`timed_out`, `cancelled`, `too_large`, `failed`) if git did not end by itself. If it was
        ended because of too much output, the result is not `complete`.
        """
        place = place or Place(cwd=folder.fileno())
        with self.workspace.open_folder(".") as base:
            reading = msgspec.structs.replace(place, readable=(base.fileno(), *place.readable))
            return run_git(arguments, reading, self.limits, deadline, self._git)


def run_git(
    arguments: Sequence[str], place: Place, limits: Limits, deadline: Deadline, git: InstalledGit | None = None
) -> GitResult:
    """Run a command of git in a place. Raises `ToolError` as `Runner.run` does."""
    output, errors = Kept(limits.max_output_bytes), Kept(limits.max_error_bytes)
    try:
        with ExitStack() as opened:
            git = git or installed_git()
            libraries = [os.open(path, PLACE) for path in git.reads]
            for handle in libraries:
                opened.callback(os.close, handle)
            with started(_policy(git, arguments, place, libraries, limits)) as process:
                process.collect(output, errors, deadline)
                report = process.report()
    except (SandboxError, GitError, OSError) as error:
        raise ToolError(f"git could not be started: {error}", code="failed") from error
    deadline.check()
    if output.complete:
        _check(report)
    exit_code = report.exit_code if report else None
    return GitResult(output=output.content, complete=output.complete, exit_code=exit_code, errors=errors.content)


def _policy(
    git: InstalledGit, arguments: Sequence[str], place: Place, libraries: Sequence[int], limits: Limits
) -> Policy:
    where = BARE if place.is_bare else IN_THE_FOLDER
    return Policy(
        program=str(git.program),
        argv=list(hardened(arguments, place.settings)),
        environment={**NOTHING_OF_THE_SYSTEM, **ENVIRONMENT, **where, **place.environment},
        cwd_handle=place.cwd,
        readable_handles=[*place.readable, *libraries],
        writable_handles=list(place.writable),
        places=[str(path) for path in git.runs],
        # git writes its temporary files into the repository.
        temporary=os.devnull,
        landlock_abi=kernel_confinement().landlock_abi,
        limits=sandbox.Limits(
            wall_seconds=limits.max_seconds + GRACE_SECONDS,
            cpu_seconds=round(limits.max_seconds) + GRACE_SECONDS,
            memory_bytes=limits.max_memory_bytes,
            file_bytes=place.max_file_bytes,
            open_files=limits.max_open_files,
            tasks=limits.max_tasks,
            output_bytes=limits.max_output_bytes,
        ),
        input_handle=place.input,
    )


def _check(report: Report | None) -> None:
    """Check that git ended by itself. Raises `ToolError` if it did not."""
    if report is None:
        raise ToolError("git could not be supervised to its end.", code="failed")
    if report.ended == "refused":
        raise ToolError(f"git could not be started: {report.message}", code="failed")
    if report.ended == "timed_out":
        raise ToolError("git took too long: ask for less at a time.", code="timed_out")
    if report.ended != "exited" or report.signal is not None:
        raise ToolError(
            "git needs more memory or time for this than the limits allow: ask for less, such as one file.",
            code="too_large",
        )
