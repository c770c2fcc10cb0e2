"""`git.add`, `git.commit`, `git.branch`, `git.switch`: change the git repositories in the workspace."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec

from tools.base import Execution, Facets, Tool, ToolError, plain_facets, tool
from tools.builtin.git import RevisionText
from tools.committing.branch_names import check_branch, current_branch
from tools.committing.changed_files import ChangedFile, check_names, work_tree
from tools.committing.identity import Identity
from tools.committing.tree_changes import changed_entries, check_entries
from tools.committing.writable import WritableRepository, writable_repository
from tools.git import commits
from tools.git.commits import Commit, parse_commit
from tools.git.repository import repository_of
from tools.git.running import Runner
from tools.workspace import Deadline, in_thread
from tools.workspace.confinement.paths import joined, shown
from tools.workspace.naming import implied_paths, stated_paths

Result = TypeVar("Result")

MAX_PATHS: Final = 100
MAX_FILES: Final = 2_000
MAX_MESSAGE: Final = 16_000
MAX_SECONDS: Final = 60.0

FolderPath = Annotated[
    str, msgspec.Meta(description="A folder or a file in the repository; by default, the workspace's own folder.")
]
BranchText = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="The name of a branch.")]


class Committer(msgspec.Struct, frozen=True):
    """The git of a workspace, and the templates of the author of its commits."""

    runner: Runner
    identity: Identity

    def restricted(self, permits: Any, record: Any = None) -> "Committer":
        """Return the same for one call."""
        return Committer(self.runner.restricted(permits, record), self.identity)


class AddResult(msgspec.Struct, frozen=True, kw_only=True):
    """The files whose content was staged. `withheld` are those that no tool commits: secrets, and repositories."""

    added: list[str]
    withheld: list[str]


class CommitResult(msgspec.Struct, frozen=True, kw_only=True):
    """A new commit, and the branch that it is on."""

    branch: str
    commit: Commit


class BranchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A branch and its commit, which is empty before the first one. `changed` are the files that were written."""

    branch: str
    commit: str
    created: bool
    changed: int = 0


async def add(
    committer: Committer,
    /,
    *,
    paths: Annotated[
        list[str],
        msgspec.Meta(
            min_length=1,
            max_length=MAX_PATHS,
            description="Files and folders of one repository, as names and not as patterns. A folder stands for all "
            "files in it. A deleted file is staged as deleted.",
        ),
    ],
) -> AddResult:
    """Stage the changes of files for the next commit, as `git add` does.

    Ignored files are left out. Files with the name of a secret, and repositories within the repository, are never
    staged.
    """

    def work(deadline: Deadline) -> AddResult:
        with writable_repository(committer.runner, paths[0], deadline) as writable:
            pathspec = _pathspec(writable, paths)
            files = [file for file in work_tree(writable, pathspec, untracked=True).files if file.unstaged != "."]
            secret_names = committer.runner.workspace.secret_names
            kept = tuple(file for file in files if not (file.is_embedded or secret_names.cover(file.parts)))
            check_names(writable, kept)
            if len(kept) > MAX_FILES:
                raise ToolError(
                    f"{len(kept)} files have changed: at most {MAX_FILES} are staged at once. Name folders in paths.",
                    code="too_large",
                )
            withheld = sorted(file.shown for file in files if file not in kept)
            if not kept:
                raise _nothing_to_add(paths, withheld)
            names = b"".join(file.path + b"\0" for file in kept)
            words = ("add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul")
            writable.write(*words, input_=names, filters_required=True)
            return AddResult(added=sorted(file.shown for file in kept), withheld=withheld)

    return await _in_time(work)


async def commit(
    committer: Committer,
    execution: Execution,
    /,
    *,
    message: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=MAX_MESSAGE,
            description="The subject, and after an empty line any further text.",
        ),
    ],
    path: FolderPath = ".",
) -> CommitResult:
    """Commit the staged changes to the current branch. Stage files with `git.add` first.

    No hook runs, and nothing is signed. The author is the caller.
    """
    if not message.strip() or "\0" in message:
        raise ToolError("The message is empty, or has a NUL: say what the commit changes.", code="invalid_params")

    def work(deadline: Deadline) -> CommitResult:
        with writable_repository(committer.runner, path, deadline) as writable:
            state = work_tree(writable, untracked=False)
            if not state.branch:
                raise ToolError(
                    "HEAD is detached, so no branch would have the commit: make one with `git.switch` and `create`.",
                    code="conflict",
                )
            _check_no_conflicts(state.files)
            staged = tuple(file for file in state.files if file.staged != ".")
            if not staged:
                raise ToolError("Nothing is staged, so there is nothing to commit: see `git.add`.", code="conflict")
            check_names(writable, tuple(file for file in staged if file.staged != "D"))
            writable.write(
                "commit",
                "--quiet",
                "--no-verify",
                "--no-gpg-sign",
                "--no-post-rewrite",
                "--no-status",
                "--cleanup=whitespace",
                "--file=-",
                input_=message.encode(),
                environment=committer.identity.environment(execution.payer),
                branch=state.branch,
            )
            shown_commit = writable.read("log", *commits.OPTIONS, "--max-count=1", "HEAD", "--").output.split(b"\0")
            limits = committer.runner.limits
            made = parse_commit(shown_commit[: commits.FIELDS_AND_END - 1], limits)
            return CommitResult(branch=state.branch, commit=made)

    return await _in_time(work)


async def branch(
    committer: Committer, /, *, branch: BranchText, start: RevisionText = "HEAD", path: FolderPath = "."
) -> BranchResult:
    """Create a branch at a commit, without switching to it. `git.switch` with `create` does both."""
    name = check_branch(branch)

    def work(deadline: Deadline) -> BranchResult:
        with writable_repository(committer.runner, path, deadline) as writable:
            sha = _existing(writable, start)
            writable.write("branch", "--no-track", "--", name, sha, branch=name)
            return BranchResult(branch=name, commit=sha, created=True)

    return await _in_time(work)


async def switch(
    committer: Committer,
    /,
    *,
    branch: BranchText,
    create: Annotated[bool, msgspec.Meta(description="Make the branch first, at `start` or at HEAD.")] = False,
    start: RevisionText | None = None,
    path: FolderPath = ".",
) -> BranchResult:
    """Switch the work tree to a branch: its files are written as that branch has them.

    Changes that are not committed stay, or the call fails. Undo does not cover the files that a switch writes: switch
    back instead.
    """
    name = check_branch(branch)
    if start is not None and not create:
        raise ToolError("start is for a new branch: set create too, or leave start out.", code="invalid_params")

    def work(deadline: Deadline) -> BranchResult:
        with writable_repository(committer.runner, path, deadline) as writable:
            _check_no_conflicts(work_tree(writable, untracked=False).files)
            head = writable.commit_of("HEAD")
            if not head and create and start is None:
                target = ""
            else:
                target = _existing(writable, start or "HEAD" if create else f"refs/heads/{name}", name)
            if not head and target:
                raise ToolError(
                    "The current branch has no commit yet: commit to it first, or create a branch without start.",
                    code="conflict",
                )
            entries = changed_entries(writable, head, target) if target and head != target else ()
            check_entries(writable, entries)
            words = ("--no-track", "--create", name, *([target] if target else [])) if create else (name,)
            writable.write(
                *("switch", "--quiet", "--no-guess", "--no-overwrite-ignore", "--no-progress"),
                *("--no-recurse-submodules", *words),
                work_tree=True,
                filters_required=False,
                branch=name,
            )
            return BranchResult(branch=name, commit=target, created=create, changed=len(entries))

    return await _in_time(work)


def tools(runner: Runner, identity: Identity, *, disabled: str = "") -> tuple[Tool, ...]:
    """Return the tools that change repositories of a workspace. They are off for the `disabled` reason."""
    committer = Committer(runner, identity)

    def paths_of(params: Any) -> Sequence[str]:
        named: Sequence[str] = getattr(params, "paths", None) or (params.path,)
        return named

    def facets(params: Any) -> Facets:
        stated = {**plain_facets(params), "path": stated_paths(runner.workspace, paths_of(params))}
        # Only a commit has no branch among its params: it is made on the current one.
        return {"branch": current_branch(runner.workspace, paths_of(params)[0]), **stated}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(runner.workspace, paths_of(params))}

    # A commit takes the content of files, and a switch writes them.
    functions: dict[str, tuple[Callable[..., Awaitable[Any]], tuple[str, ...]]] = {
        "git.add": (add, ("fs.read",)),
        "git.commit": (commit, ("fs.read",)),
        "git.branch": (branch, ()),
        "git.switch": (switch, ("fs.write",)),
    }
    return tuple(
        tool(
            name,
            "write",
            function,
            committer,
            confinement=runner.confinement,
            disabled=disabled,
            facets=facets,
            implied=implied,
            files=files,
            foreign=runner.workspace.foreign.overlaps,
        )
        for name, (function, files) in functions.items()
    )


async def _in_time(work: Callable[[Deadline], Result]) -> Result:
    deadline = Deadline(MAX_SECONDS)
    return await in_thread(lambda: work(deadline), deadline)


def _pathspec(writable: WritableRepository, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the paths as git takes them. Raises `ToolError` for those of another repository, and for secrets."""
    own, found = writable.repository, []
    workspace = writable.runner.workspace
    for path in paths:
        with repository_of(workspace, path) as repository:
            if repository.parts != own.parts:
                raise ToolError(
                    f"{shown(path)} is in another repository than {shown(paths[0])}: stage each by itself.",
                    code="invalid_params",
                )
            parts = (*repository.parts, *repository.names)
            if workspace.secret_names.cover(parts):
                raise ToolError(
                    f"{shown(joined(parts))} has the name of a secret, which is never committed.", code="not_allowed"
                )
            found.append("/".join(repository.names) or ".")
    return tuple(found)


def _nothing_to_add(paths: Sequence[str], withheld: Sequence[str]) -> ToolError:
    if withheld:
        return ToolError(
            f"Only {', '.join(map(shown, withheld[:5]))} changed: the names of secrets and repositories of their own "
            "are never staged.",
            code="not_allowed",
        )
    return ToolError(
        f"{', '.join(map(shown, paths[:5]))}: nothing to stage. The files are unchanged, staged already, ignored, or "
        "do not exist: see `git.status`.",
        code="not_found",
    )


def _check_no_conflicts(files: Sequence[ChangedFile]) -> None:
    conflicts = [file.shown for file in files if file.is_conflict]
    if conflicts:
        raise ToolError(
            f"{', '.join(map(shown, conflicts[:5]))}: in conflict. Edit the files, and stage them with `git.add`.",
            code="conflict",
        )


def _existing(writable: WritableRepository, revision: str, name: str = "") -> str:
    """Return the hash of a commit. Raises `ToolError` (`not_found`)."""
    sha = writable.commit_of(revision)
    if sha:
        return sha
    if revision == "HEAD":
        raise ToolError("The current branch has no commit yet: make the first with `git.commit`.", code="not_found")
    raise ToolError(
        f"There is no {shown(name or revision)} in the repository {writable.repository.shown}: see `git.log`, or set "
        "create to make a branch.",
        code="not_found",
    )
