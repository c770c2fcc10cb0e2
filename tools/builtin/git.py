"""`git.status`, `git.diff`, `git.log`, `git.show`: read the git repositories in the workspace."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.git import changes, commits, status
from tools.git.changes import Changes, FileChange, parse_changes
from tools.git.commits import Commit, Log, parse_commit, parse_log
from tools.git.refusals import check, has_no_commit_yet
from tools.git.repository import Repository, repository_of
from tools.git.revisions import Revisions, one_revision, revisions
from tools.git.running import GitResult, Runner
from tools.git.status import Status, parse_status
from tools.workspace import Deadline, in_thread
from tools.workspace.confinement.paths import Parts, joined, shown
from tools.workspace.naming import implied_paths, stated_paths

DEFAULT_LOG = 20
MAX_LOG = 200

Result = TypeVar("Result")
RepositoryPath = Annotated[
    str,
    msgspec.Meta(
        description="A folder or a file in a git repository of the workspace; it may be deleted. Only this part of the "
        "repository is shown. The path of the repository's folder shows all of it."
    ),
]
RevisionText = Annotated[
    str, msgspec.Meta(min_length=1, description="A branch, a tag or a commit, such as 'main', 'v1.0' or 'HEAD~2'.")
]
RangeText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="A branch, a tag or a commit, such as 'HEAD~2', or a range. 'a..b' compares a and b; 'a...b' "
        "compares b with their merge base.",
    ),
]


class ShowResult(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, and its changes against its first parent."""

    commit: Commit
    text: str
    files: list[FileChange]
    withheld: list[str]
    truncated: bool


async def show_status(runner: Runner, /, *, path: RepositoryPath = ".") -> Status:
    """Show the state of a repository: its branch, and which files are staged, changed, new or in conflict.

    Paths are relative to the workspace. An untracked folder is shown by its name, with a slash at its end. `ahead` and
    `behind` count commits against the upstream. Ignored files are left out.
    """

    def work(repository: Repository, deadline: Deadline) -> Status:
        done = runner.run((*status.COMMAND, "--", *repository.pathspec), repository.folder, deadline)
        check(done, repository)
        result = parse_status(
            done.output, repository.parts, runner.limits, complete=done.complete, permits=runner.workspace.permits
        )
        if not (result.staged or result.unstaged or result.untracked or result.conflicted or result.truncated):
            _check_exists(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def diff(
    runner: Runner,
    /,
    *,
    path: RepositoryPath = ".",
    ref: RangeText | None = None,
    staged: Annotated[
        bool, msgspec.Meta(description="Show the staged changes, against the last commit or `ref`.")
    ] = False,
) -> Changes:
    """Show changes as a unified diff, and list the files with the lines added and removed.

    Without `ref`: the changes that are not staged. With one revision: the files as they are now, against it. With two,
    such as 'a..b': b against a. Paths are relative to the workspace. The text of secrets and of files that the
    policy denies is not shown: they are `withheld`. When `truncated` is true there is more: request a file or a folder.
    """
    requested = None if ref is None else revisions(ref)
    if staged and requested and requested.dots:
        raise ToolError(
            "Give either staged or two revisions: staged changes are compared with one revision only.",
            code="invalid_params",
        )

    def work(repository: Repository, deadline: Deadline) -> Changes:
        # A file in conflict has three versions in the index: compare with ours, so that it is one ordinary diff.
        side = ("--cached",) if staged else () if requested else ("--ours",)
        arguments = ("diff", *changes.options(repository.parts), *side, "--end-of-options", *_argument(requested))
        done = runner.run((*arguments, "--", *repository.pathspec), repository.folder, deadline)
        check(done, repository, requested)
        result = _changes(runner, done, done.output, repository)
        if not (result.files or result.withheld or result.truncated):
            _check_exists(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def log(
    runner: Runner,
    /,
    *,
    path: RepositoryPath = ".",
    ref: RangeText | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LOG, description="Maximum number of commits.")] = DEFAULT_LOG,
) -> Log:
    """List the commits that lead to HEAD or to `ref`, newest first; with a path, the commits that changed it.

    `ref` may be a range: 'a..b' are the commits that are in b and not in a. When `truncated` is true there are more:
    call again with `ref` set to the hash of the last commit followed by ~1.
    """
    requested = None if ref is None else revisions(ref)

    def work(repository: Repository, deadline: Deadline) -> Log:
        # One more than the limit shows whether there are more.
        arguments = ("log", *commits.OPTIONS, f"--max-count={limit + 1}", "--end-of-options", *_argument(requested))
        done = runner.run((*arguments, "--", *repository.pathspec), repository.folder, deadline)
        if not requested and has_no_commit_yet(done):
            return Log(commits=[], truncated=False)
        check(done, repository, requested)
        result = parse_log(done.output, limit, runner.limits, complete=done.complete)
        if not result.commits:
            _check_exists(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def show(runner: Runner, /, *, path: RepositoryPath = ".", ref: RevisionText = "HEAD") -> ShowResult:
    """Show one commit: its author, its message, and its changes, as `git.diff` does.

    With a path, only the changes of that path. A merge is shown against its first parent, a tag as its commit.
    """
    requested = one_revision(ref)

    def work(repository: Repository, deadline: Deadline) -> ShowResult:
        # With `--sparse` a commit that did not change the path is still shown.
        shape = (*commits.OPTIONS, *changes.options(repository.parts), "--diff-merges=first-parent", "--sparse")
        arguments = ("show", *shape, "--end-of-options", *_argument(requested), "--", *repository.pathspec)
        done = runner.run(arguments, repository.folder, deadline)
        check(done, repository, requested)
        fields = done.output.split(b"\0", commits.FIELDS_AND_END)
        if len(fields) <= commits.FIELDS_BUT_BODY:
            raise ToolError(f"The commit {shown(ref)} is too large to be shown.", code="too_large")
        rest = fields[commits.FIELDS_AND_END] if len(fields) > commits.FIELDS_AND_END else b""
        result = _changes(runner, done, rest.removeprefix(b"\n"), repository)
        return ShowResult(
            commit=parse_commit(fields, runner.limits),
            text=result.text,
            files=result.files,
            withheld=result.withheld,
            truncated=result.truncated,
        )

    return await _on_repository(runner, path, work)


def tools(runner: Runner, *, disabled: str = "") -> tuple[Tool, ...]:
    """Return the git tools of a workspace. They are off for the `disabled` reason."""

    def facets(params: Any) -> Facets:
        return {**plain_facets(params), "path": stated_paths(runner.workspace, (params.path,))}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(runner.workspace, (params.path,))}

    functions: dict[str, Callable[..., Awaitable[Any]]] = {
        "git.status": show_status,
        "git.diff": diff,
        "git.log": log,
        "git.show": show,
    }
    return tuple(
        tool(
            name,
            "read",
            function,
            runner,
            confinement=runner.confinement,
            disabled=disabled,
            facets=facets,
            implied=implied,
            # These two show the content of files.
            files=("fs.read",) if name in {"git.diff", "git.show"} else (),
            foreign=runner.workspace.foreign.overlaps,
        )
        for name, function in functions.items()
    )


async def _on_repository(runner: Runner, path: str, work: Callable[[Repository, Deadline], Result]) -> Result:
    """Return the result of `work` on the path's repository. It runs in a thread, with a deadline."""
    deadline = Deadline(runner.limits.max_seconds)

    def open_and_work() -> Result:
        with repository_of(runner.workspace, path) as repository:
            return work(repository, deadline)

    return await in_thread(open_and_work, deadline)


def _argument(requested: Revisions | None) -> tuple[str, ...]:
    return (requested.argument,) if requested else ()


def _changes(runner: Runner, done: GitResult, output: bytes, repository: Repository) -> Changes:
    names, permits = runner.workspace.secret_names, runner.workspace.permits

    def hides(parts: Parts) -> bool:
        return names.cover(parts) or (permits is not None and not permits(joined(parts)))

    return parse_changes(output, repository.parts, hides, runner.limits, complete=done.complete)


def _check_exists(repository: Repository, path: str) -> None:
    """Check a path of which git showed nothing. Raises `ToolError` if it does not exist."""
    if not repository.exists:
        raise ToolError(
            f"{shown(path)} does not exist, and git knows nothing of it: list the files with `fs.list`.",
            code="not_found",
        )
