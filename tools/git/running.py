"""Running git on one repository of the workspace."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from tools.base import ToolError
from tools.git.binding import GitError
from tools.git.hardening import ENVIRONMENT, hardened
from tools.git.installed import InstalledGit, installed_git
from tools.git.limits import Limits
from tools.git.process import Kept, started
from tools.sandbox import policy as sandbox
from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.policy import Policy, Report
from tools.sandbox.refusals import SandboxError
from tools.workspace import Deadline, Folder, Workspace

DEFAULT_LIMITS = Limits()
OLDEST = (2, 32)
"""The first that takes no `.gitattributes` and no `.gitignore` from where a link leads."""
VERSION = re.compile(rb"git version (\d+)\.(\d+)")
PLACE = os.O_PATH | os.O_CLOEXEC
GRACE_SECONDS = 1
"""Between the deadline of a call and that of its git, which only ends what the call could not."""

IN_THE_FOLDER: Mapping[str, str] = {"GIT_DIR": ".git", "GIT_WORK_TREE": "."}
"""git does not look for a repository, nor asks one where its files are. Source: git(1)."""
NOTHING_OF_THE_SYSTEM: Mapping[str, str] = {"PATH": "", "HOME": os.devnull, "TMPDIR": os.devnull}


class GitResult(msgspec.Struct, frozen=True, kw_only=True):
    """What git wrote; `complete` if that is all of it. `exit_code` is None of a git that was ended."""

    output: bytes
    complete: bool
    exit_code: int | None
    errors: bytes


class Runner:
    """Runs git so that it can read one workspace, and neither write anything nor run anything else.

    `git` is the machine's own unless it is given.
    """

    def __init__(
        self, workspace: Workspace, *, limits: Limits = DEFAULT_LIMITS, git: InstalledGit | None = None
    ) -> None:
        self.workspace = workspace
        self.limits = limits
        self._git = git

    @property
    def confinement(self) -> str:
        """The sandbox's level; nothing where there is none."""
        try:
            return kernel_confinement().level
        except SandboxError:
            return ""

    def why_unavailable(self) -> str:
        """Why git cannot be run here, or nothing. Tries it; blocks for as long as that takes."""
        try:
            kernel_confinement()
            _ = self._git or installed_git()
        except SandboxError as error:
            return str(error)
        try:
            with self.workspace.open_folder(".") as folder:
                said = self.run(("version",), folder, Deadline(self.limits.max_seconds))
        except ToolError as error:
            return str(error)
        version = VERSION.match(said.output)
        if version is None:
            return "git does not tell its version."
        if tuple(map(int, version.groups())) < OLDEST:
            return f"{said.output.decode(errors='replace').strip()} is too old: git {OLDEST[0]}.{OLDEST[1]} is needed."
        return ""

    def run(self, arguments: Sequence[str], folder: Folder, deadline: Deadline) -> GitResult:
        """Runs a command of git in the folder that holds its `.git`.

        Raises `ToolError` (`timed_out`, `cancelled`, `too_large`, `failed`) where git did not end by itself, unless
        that was because it wrote too much.
        """
        output, errors = Kept(self.limits.max_output_bytes), Kept(self.limits.max_error_bytes)
        try:
            report = self._supervise(arguments, folder, output, errors, deadline)
        except (SandboxError, GitError, OSError) as error:
            raise ToolError(f"git could not be started: {error}", code="failed") from error
        deadline.check()
        if output.complete:
            _check(report)
        exit_code = report.exit_code if report else None
        return GitResult(output=output.content, complete=output.complete, exit_code=exit_code, errors=errors.content)

    def _supervise(
        self, arguments: Sequence[str], folder: Folder, output: Kept, errors: Kept, deadline: Deadline
    ) -> Report | None:
        with ExitStack() as opened:
            base = opened.enter_context(self.workspace.open_folder("."))
            git = self._git or installed_git()
            reads = [_open(place, opened) for place in git.reads]
            policy = self._policy(git, arguments, folder.fileno(), [base.fileno(), *reads])
            with started(policy) as process:
                process.collect(output, errors, deadline)
                return process.report()

    def _policy(self, git: InstalledGit, arguments: Sequence[str], cwd: int, readable: list[int]) -> Policy:
        """Without a temporary folder: what git reads leaves it nothing to write."""
        return Policy(
            program=str(git.program),
            argv=list(hardened(arguments)),
            environment={**NOTHING_OF_THE_SYSTEM, **ENVIRONMENT, **IN_THE_FOLDER},
            cwd_handle=cwd,
            readable_handles=readable,
            writable_handles=[],
            places=[str(place) for place in git.runs],
            temporary=os.devnull,
            landlock_abi=kernel_confinement().landlock_abi,
            limits=sandbox.Limits(
                wall_seconds=self.limits.max_seconds + GRACE_SECONDS,
                cpu_seconds=round(self.limits.max_seconds) + GRACE_SECONDS,
                memory_bytes=self.limits.max_memory_bytes,
                file_bytes=0,
                open_files=self.limits.max_open_files,
                tasks=self.limits.max_tasks,
                output_bytes=self.limits.max_output_bytes,
            ),
        )


def _open(place: Path, opened: ExitStack) -> int:
    handle = os.open(place, PLACE)
    opened.callback(os.close, handle)
    return handle


def _check(report: Report | None) -> None:
    """Raises `ToolError` where git was kept from coming to its own end."""
    if report is None:
        raise ToolError("git could not be supervised to its end.", code="failed")
    if report.ended == "refused":
        raise ToolError(f"git could not be started: {report.message}", code="failed")
    if report.ended == "timed_out":
        raise ToolError("git took too long: ask for less at a time.", code="timed_out")
    if report.ended != "exited" or report.signal is not None:
        raise ToolError(
            "git needs more memory or time for this than it gets here: ask for less, such as one file.",
            code="too_large",
        )
