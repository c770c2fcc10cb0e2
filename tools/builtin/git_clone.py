"""`git.clone`: get a repository from an allowed host into the workspace."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.builtin.git_write import BranchText
from tools.committing.branch_names import check_branch
from tools.forges import cloned
from tools.forges.access import ForgeAccess
from tools.forges.allowed import Target
from tools.forges.cloned import Contents, Fetched
from tools.forges.connection import connected
from tools.forges.private_repository import OWNER_ONLY, private_folder
from tools.forges.transfer import GitRemote
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.confinement.paths import joined, shown
from tools.workspace.naming import implied_paths, stated_paths

DEFAULT_DEPTH: Final = 50
MAX_DEPTH: Final = 10_000
MAX_SECONDS: Final = 300.0


class CloneResult(msgspec.Struct, frozen=True, kw_only=True):
    """A new repository. It is `shallow` if older commits were left out. `size` is in bytes, without `.git`."""

    path: str
    url: str
    branch: str
    commit: str
    files: int
    size: int
    shallow: bool


async def clone(
    access: ForgeAccess,
    /,
    *,
    url: Annotated[str, msgspec.Meta(min_length=1, description="Such as 'https://github.com/owner/name'.")],
    path: Annotated[str, msgspec.Meta(description="The new folder; by default, one with the repository's name.")]
    | None = None,
    branch: Annotated[BranchText, msgspec.Meta(description="By default, the default branch of the host.")]
    | None = None,
    depth: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEPTH, description="Number of commits to get.")] = DEFAULT_DEPTH,
) -> CloneResult:
    """Clone a repository of an allowed host into a new folder of the workspace. Only one branch is fetched.

    Submodules are not cloned, and files of Git LFS stay pointers. If it fails, nothing is left.
    """
    target = access.allowed.target(url)
    workspace = access.runner.workspace
    place = _default_path(target) if path is None else path
    if branch is not None:
        check_branch(branch)
    _check_place(workspace, place)
    try:
        async with asyncio.timeout(MAX_SECONDS):
            with (
                private_folder(_beside(workspace, access.private)) as folder,
                tempfile.TemporaryFile(dir=folder) as file,
            ):
                async with connected(target.remote.host) as connection:
                    remote = GitRemote(connection, target, access.allowed.token(target))
                    refs = await remote.advertised()
                    name = branch or refs.default
                    commit = refs.branch(name)
                    if not commit:
                        raise ToolError(f"{target.page} has no branch {name or 'yet'}.", code="not_found")
                    await remote.fetch(commit, depth, file, access.max_clone_bytes)
                fetched = Fetched(
                    target=target, branch=check_branch(name), commit=commit, answer=file, folder=folder / "repository"
                )
                contents = await _build(access, fetched, place)
    except TimeoutError as error:
        raise ToolError(f"Cloning took longer than {MAX_SECONDS:g} s.", code="timed_out") from error
    return CloneResult(
        path=workspace.named(place),
        url=target.page,
        branch=name,
        commit=commit,
        files=contents.files,
        size=contents.size,
        shallow=contents.is_shallow,
    )


def tools(access: ForgeAccess, *, disabled: str = "") -> tuple[Tool, ...]:
    """Return the tool that clones into a workspace. It is off for the `disabled` reason."""
    workspace = access.runner.workspace

    def place(params: Any) -> tuple[str, ...]:
        if params.path is not None:
            return (params.path,)
        try:
            return (_default_path(access.allowed.target(params.url)),)
        except ToolError:
            return (".",)

    def facets(params: Any) -> Facets:
        return {**plain_facets(params), "path": stated_paths(workspace, place(params))}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(workspace, place(params))}

    return (
        tool(
            "git.clone",
            "network",
            clone,
            access,
            confinement=access.runner.confinement,
            disabled=disabled,
            facets=facets,
            implied=implied,
            files=("fs.write",),
            precheck=_precheck,
            taints="repository",
        ),
    )


async def _precheck(access: ForgeAccess, /, *, url: str, path: str | None, **_: Any) -> None:
    target = access.allowed.target(url)
    _check_place(access.runner.workspace, _default_path(target) if path is None else path)


async def _build(access: ForgeAccess, fetched: Fetched, place: str) -> Contents:
    deadline, workspace = Deadline(cloned.MAX_SECONDS), access.runner.workspace

    def work() -> Contents:
        root = tuple(workspace.named(place).split("/"))
        contents = cloned.build(fetched, root, workspace.permits, access.max_clone_bytes, deadline)
        deadline.check()
        workspace.foreign.add(workspace.named(place))
        cloned.move_in(workspace, workspace.named(place), fetched.folder)
        return contents

    return await in_thread(work, deadline)


def _default_path(target: Target) -> str:
    return target.path.rpartition("/")[2]


def _check_place(workspace: Workspace, path: str) -> None:
    """Check that a folder may be made at a path. Raises `ToolError`."""
    workspace.check_writable(path)
    try:
        entry = workspace.entry(path)
    except ToolError as error:
        if error.code != "not_found":
            raise
    else:
        raise ToolError(f"{shown(joined(entry.parts))} exists already: give the path of a new folder.", code="conflict")
    parent = workspace.named(path).rpartition("/")[0]
    with workspace.open_folder(parent or "."):
        pass


def _beside(workspace: Workspace, private: Path) -> Path:
    """Return a folder from which another can be moved into the workspace: one of the same file system."""
    try:
        private.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        if private.stat().st_dev == workspace.base.stat().st_dev:
            return private
    except OSError as error:
        raise ToolError(f"The service's own folder cannot be used: {error.strerror}.", code="failed") from error
    return workspace.base.parent / f".{workspace.base.name}-git"
