"""`git.status`, `git.diff`, `git.log`, `git.show`: what git tells of the repositories in the workspace."""

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
from tools.git.running import Runner, Said
from tools.git.status import Status, parse_status
from tools.workspace import Deadline, in_thread
from tools.workspace.confinement.paths import shown

DEFAULT_LOG = 20
MAX_LOG = 200

Result = TypeVar("Result")
RepositoryPath = Annotated[
    str,
    msgspec.Meta(
        description="A folder or a file in a git repository of the workspace, also one that is deleted: only what is "
        "there is told. The path of the repository's folder means all of it."
    ),
]
RevisionText = Annotated[
    str, msgspec.Meta(min_length=1, description="A branch, a tag or a commit, such as 'main', 'v1.0' or 'HEAD~2'.")
]
RangeText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="A branch, a tag or a commit, such as 'HEAD~2', or two of them: 'a..b', or 'a...b' for what b has "
        "since both parted.",
    ),
]


class ShowResult(msgspec.Struct, frozen=True, kw_only=True):
    """One commit, and what it changed against its first parent."""

    commit: Commit
    text: str
    files: list[FileChange]
    withheld: list[str]
    truncated: bool


async def show_status(runner: Runner, /, *, path: RepositoryPath = ".") -> Status:
    """Tells what git sees in a repository: its branch, and which files are staged, changed, new or in conflict.

    Paths are relative to the workspace. An untracked folder is told by its name, with a slash at its end. `ahead` and
    `behind` count commits against the upstream. Ignored files are left out.
    """

    def work(repository: Repository, deadline: Deadline) -> Status:
        said = runner.run((*status.COMMAND, "--", *repository.pathspec), repository.folder, deadline)
        check(said, repository)
        result = parse_status(said.output, repository.parts, runner.limits, complete=said.complete)
        if not (result.staged or result.unstaged or result.untracked or result.conflicted or result.truncated):
            _refuse_nothing(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def diff(
    runner: Runner,
    /,
    *,
    path: RepositoryPath = ".",
    ref: RangeText | None = None,
    staged: Annotated[bool, msgspec.Meta(description="What is staged, against the last commit or `ref`.")] = False,
) -> Changes:
    """Shows changes as a unified diff, and lists the files with the lines added and removed.

    Without `ref`: what is not staged yet. With one: the files as they are now, against it. With two, such as 'a..b':
    b against a. Paths are relative to the workspace. Of files with the names of secrets no text is shown: they are
    `withheld`. When `truncated` is true there is more: ask for a file or a folder.
    """
    asked = None if ref is None else revisions(ref)
    if staged and asked and asked.dots:
        raise ToolError(
            "Give either staged or two revisions: what is staged has but one other side.", code="invalid_params"
        )

    def work(repository: Repository, deadline: Deadline) -> Changes:
        side = ("--cached",) if staged else () if asked else ("--ours",)
        arguments = ("diff", *changes.options(repository.parts), *side, "--end-of-options", *_argument(asked))
        said = runner.run((*arguments, "--", *repository.pathspec), repository.folder, deadline)
        check(said, repository, asked)
        result = _changes(runner, said, said.output, repository)
        if not (result.files or result.withheld or result.truncated):
            _refuse_nothing(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def log(
    runner: Runner,
    /,
    *,
    path: RepositoryPath = ".",
    ref: RangeText | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LOG, description="The most commits.")] = DEFAULT_LOG,
) -> Log:
    """Lists the commits that lead to HEAD or to `ref`, the newest first; with a path, those that changed it.

    `ref` may be a range: 'a..b' are the commits of b that a has not. When `truncated` is true there are more: ask with
    `ref` set to the last one's hash and ~1 behind it.
    """
    asked = None if ref is None else revisions(ref)

    def work(repository: Repository, deadline: Deadline) -> Log:
        arguments = ("log", *commits.OPTIONS, f"--max-count={limit + 1}", "--end-of-options", *_argument(asked))
        said = runner.run((*arguments, "--", *repository.pathspec), repository.folder, deadline)
        if not asked and has_no_commit_yet(said):
            return Log(commits=[], truncated=False)
        check(said, repository, asked)
        result = parse_log(said.output, limit, runner.limits, complete=said.complete)
        if not result.commits:
            _refuse_nothing(repository, path)
        return result

    return await _on_repository(runner, path, work)


async def show(runner: Runner, /, *, path: RepositoryPath = ".", ref: RevisionText = "HEAD") -> ShowResult:
    """Shows one commit: who made it, its message, and what it changed, as `git.diff` does.

    With a path, only what it changed there. A merge is shown against its first parent; of a tag, its commit.
    """
    asked = one_revision(ref)

    def work(repository: Repository, deadline: Deadline) -> ShowResult:
        shape = (*commits.OPTIONS, *changes.options(repository.parts), "--diff-merges=first-parent", "--sparse")
        arguments = ("show", *shape, "--end-of-options", *_argument(asked), "--", *repository.pathspec)
        said = runner.run(arguments, repository.folder, deadline)
        check(said, repository, asked)
        fields = said.output.split(b"\0", commits.FIELDS_AND_END)
        if len(fields) <= commits.FIELDS_BUT_BODY:
            raise ToolError(f"The commit {shown(ref)} is too large to be shown.", code="too_large")
        rest = fields[commits.FIELDS_AND_END] if len(fields) > commits.FIELDS_AND_END else b""
        result = _changes(runner, said, rest.removeprefix(b"\n"), repository)
        return ShowResult(
            commit=parse_commit(fields, runner.limits),
            text=result.text,
            files=result.files,
            withheld=result.withheld,
            truncated=result.truncated,
        )

    return await _on_repository(runner, path, work)


def tools(runner: Runner, *, disabled: str = "") -> tuple[Tool, ...]:
    """The git tools of one workspace; off for the reason that is given, or where git cannot be run in a sandbox."""

    def facets(params: Any) -> Facets:
        return {**plain_facets(params), "path": [runner.workspace.named(params.path)]}

    functions: dict[str, Callable[..., Awaitable[Any]]] = {
        "git.status": show_status,
        "git.diff": diff,
        "git.log": log,
        "git.show": show,
    }
    reason = disabled or runner.why_unavailable()
    return tuple(
        tool(name, "read", function, runner, confinement=runner.confinement, disabled=reason, facets=facets)
        for name, function in functions.items()
    )


async def _on_repository(runner: Runner, path: str, work: Callable[[Repository, Deadline], Result]) -> Result:
    """What the work makes of the repository of the path, in a thread and in its time."""
    deadline = Deadline(runner.limits.max_seconds)

    def open_and_work() -> Result:
        with repository_of(runner.workspace, path) as repository:
            return work(repository, deadline)

    return await in_thread(open_and_work, deadline)


def _argument(asked: Revisions | None) -> tuple[str, ...]:
    return (asked.argument,) if asked else ()


def _changes(runner: Runner, said: Said, output: bytes, repository: Repository) -> Changes:
    names = runner.workspace.secret_names
    return parse_changes(output, repository.parts, names, runner.limits, complete=said.complete)


def _refuse_nothing(repository: Repository, path: str) -> None:
    """Raises `ToolError` where git told nothing of a path, and nothing is there."""
    if not repository.exists:
        raise ToolError(
            f"{shown(path)} does not exist, and git tells nothing of it: see `fs.list` for what there is.",
            code="not_found",
        )
