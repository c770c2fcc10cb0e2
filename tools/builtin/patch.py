"""`fs.apply_patch`: many changes to the workspace's files, all of them or none.

What the patch says and what comes of it is worked out on values, by `tools.patching`; then the workspace writes it, if
every file that it replaces or removes is still the one that was read.
"""

import hashlib
import os
import stat
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.patching import Action, Content, Effect, Plan, apply, parse
from tools.workspace import Change, Deadline, Workspace, in_thread

PatchText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="A unified diff, as `git diff` writes it, or a patch from '*** Begin Patch' to '*** End Patch'.",
    ),
]


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one file: lines added and removed, where it was moved or copied from, and its SHA-256 then."""

    path: str
    action: Action
    source: str | None
    added: int
    removed: int
    sha256: str | None


class PatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The files in the patch's order; with `dry_run` nothing was written."""

    files: list[FileResult]
    dry_run: bool


async def apply_patch(
    workspace: Workspace,
    /,
    *,
    patch: PatchText,
    dry_run: Annotated[bool, msgspec.Meta(description="Only show what would change.")] = False,
) -> PatchResult:
    """Applies a patch to files of the workspace: all of it, or nothing.

    The patch is a unified diff (also git's, with new, deleted, renamed and copied files and the executable bit), or has
    the format of '*** Begin Patch'. Context and removed lines must be exactly those of the file. Wrong line numbers
    and counts do no harm as long as a hunk fits in one place only. A file with CRLF keeps it. Links, submodules, binary
    files and paths outside are refused. The result's `sha256` is the file's new one, for `fs.write`.
    """
    deadline = Deadline(workspace.limits.max_seconds)
    return await in_thread(lambda: _apply(workspace, patch, deadline, dry_run=dry_run), deadline)


def tools(workspace: Workspace) -> tuple[Tool, ...]:
    """The patch tool of one workspace."""
    return (
        tool(
            "fs.apply_patch",
            "write",
            apply_patch,
            workspace,
            confinement=workspace.confinement,
            facets=partial(_facets, workspace),
        ),
    )


def _facets(workspace: Workspace, params: Any) -> Facets:
    """Rules look at every path that the patch names; one that cannot be read names none, and does nothing."""
    try:
        sections = parse(_encoded(params.patch)).sections
    except ToolError:
        return {}
    paths = {path for section in sections for path in (section.path, section.source) if path is not None}
    return {**plain_facets(params), "path": sorted(map(workspace.named, paths))}


def _apply(workspace: Workspace, patch: str, deadline: Deadline, *, dry_run: bool) -> PatchResult:
    files = _Files(workspace, deadline)
    plan = apply(parse(_encoded(patch)), files.read)
    files.check(plan)
    if not dry_run:
        workspace.apply([_change(effect) for effect in plan.effects], deadline)
    return _result(plan, dry_run=dry_run)


def _encoded(patch: str) -> bytes:
    try:
        return patch.encode()
    except UnicodeEncodeError as error:
        raise ToolError("The patch holds a lone surrogate: give valid Unicode.", code="invalid_params") from error


class _Files:
    """The files that a patch reads, and where they really are."""

    def __init__(self, workspace: Workspace, deadline: Deadline) -> None:
        self._workspace = workspace
        self._deadline = deadline
        self._places: dict[str, str] = {}

    def read(self, path: str) -> Content | None:
        """The file at the path, None where there is none. Raises `ToolError` for what is no file or not for tools."""
        self._deadline.check()
        try:
            with self._workspace.open_file(path) as file:
                self._places[path] = file.path
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(self._workspace.limits.max_write_bytes)
        except ToolError as error:
            if error.code == "not_found":
                return None
            raise
        return Content(data=data, executable=bool(mode & stat.S_IXUSR))

    def check(self, plan: Plan) -> None:
        """Raises `ToolError` where a link would make the plan mean other files than it names.

        A change through a link changes what it leads to, as with `fs.write`; a link itself is neither moved nor
        deleted, and no file is changed under two names.
        """
        named: dict[str, str] = {}
        for effect in plan.effects:
            place = self._places.get(effect.path, effect.path)
            if effect.after is None and place != effect.path:
                raise ToolError(
                    f"{effect.path!r} is reached through a link: move or delete {place!r} instead.", code="not_allowed"
                )
            if effect.before is None:
                self._check_folder(effect.path)
            other = named.setdefault(place, effect.path)
            if other != effect.path:
                raise ToolError(
                    f"{other!r} and {effect.path!r} are the same file, by a link: change it under one name.",
                    code="invalid_params",
                )

    def _check_folder(self, path: str) -> None:
        """Raises `ToolError` where a folder that a new file needs is a file."""
        for folder in map(str, PurePosixPath(path).parents):
            try:
                entry = self._workspace.entry(folder)
            except ToolError as error:
                if error.code != "not_found":
                    raise
                continue
            if entry.type != "directory":
                raise ToolError(f"{path!r} cannot be made: {folder!r} is no folder.", code="not_allowed")
            return


def _change(effect: Effect) -> Change:
    """The effect as the workspace takes it: on the very content that was read, or where there is nothing."""
    before, after = effect.before, effect.after
    was_executable = before is not None and before.executable
    return Change(
        path=effect.path,
        data=None if after is None else after.data,
        create_only=before is None,
        expected_sha256=None if before is None else hashlib.sha256(before.data).hexdigest(),
        executable=None if after is None or after.executable == was_executable else after.executable,
    )


def _result(plan: Plan, *, dry_run: bool) -> PatchResult:
    hashes = {
        effect.path: hashlib.sha256(effect.after.data).hexdigest()
        for effect in plan.effects
        if effect.after is not None
    }
    files = [
        FileResult(
            path=file.path,
            action=file.action,
            source=file.source,
            added=file.added,
            removed=file.removed,
            sha256=hashes.get(file.path),
        )
        for file in plan.files
    ]
    return PatchResult(files=files, dry_run=dry_run)
