"""`fs.apply_patch`: apply many changes to the workspace's files, all of them or none.

`tools.patching` parses the patch and plans its effects on values. Then the workspace writes them, if every file that is
replaced or removed still has the content that was read.
"""

import hashlib
import os
import stat
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.output.masking import refuse_mask
from tools.patching import Action, Content, Plan, apply, parse
from tools.workspace import Change, Deadline, Workspace, in_thread
from tools.workspace.naming import implied_paths, stated_paths

PatchText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        description="A unified diff, as `git diff` writes it, or a patch from '*** Begin Patch' to '*** End Patch'.",
    ),
]


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """The change of one file: the lines added and removed, the `source` of a move or copy, and its new SHA-256."""

    path: str
    action: Action
    source: str | None
    added: int
    removed: int
    sha256: str | None


class PatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The files in the patch's order. With `dry_run`, nothing was written. `notes` list the forgiven differences."""

    files: list[FileResult]
    dry_run: bool
    notes: list[str] = []


async def apply_patch(
    workspace: Workspace,
    /,
    *,
    patch: PatchText,
    dry_run: Annotated[bool, msgspec.Meta(description="Only show what would change.")] = False,
) -> PatchResult:
    """Apply a patch to files of the workspace: all of it, or nothing.

    The patch is a unified diff or has the format of '*** Begin Patch'. Git's diffs may create, delete, rename and copy
    files, and set the executable bit. Context and removed lines must match the file. Wrong or missing line numbers,
    line ends and white space before them are forgiven if the patch fits in one way only. `notes` report it. A file
    keeps its own line ends. Links, submodules, binary files and paths outside are refused. The result's `sha256`
    is the file's new one, for `fs.write`.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> PatchResult:
        files = _Files(workspace, deadline)
        plan = apply(parse(_encoded(patch), roots=workspace.roots), files.read)
        files.check(plan)
        hashes: dict[str, str] = {}
        edits: list[Change] = []
        for effect in plan.effects:
            before, after = effect.before, effect.after
            if after is not None:
                refuse_mask(effect.path, before.data if before else b"", after.data)
                hashes[effect.path] = hashlib.sha256(after.data).hexdigest()
            was_executable = before is not None and before.executable
            edits.append(
                Change(
                    path=effect.path,
                    data=None if after is None else after.data,
                    # These two make it fail if another process made or changed the file after it was read.
                    create_only=before is None,
                    expected_sha256=None if before is None else hashlib.sha256(before.data).hexdigest(),
                    executable=None if after is None or after.executable == was_executable else after.executable,
                )
            )
        if not dry_run:
            workspace.apply(edits, deadline)
        results = [
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
        return PatchResult(files=results, dry_run=dry_run, notes=list(plan.notes))

    return await in_thread(work, deadline)


async def would_apply(workspace: Workspace, /, *, patch: str, dry_run: bool) -> None:
    """Raise the `ToolError` that the patch would fail with."""
    await apply_patch(workspace, patch=patch, dry_run=True)


def tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the patch tool of a workspace."""

    def paths(params: Any) -> set[str]:
        # A patch that cannot be parsed names no paths. It also changes nothing, so no rule is bypassed.
        try:
            sections = parse(_encoded(params.patch), roots=workspace.roots).sections
        except ToolError:
            return set()
        names = ((section.path, section.source, *section.others) for section in sections)
        return {path for section in names for path in section if path is not None}

    def facets(params: Any) -> Facets:
        named = paths(params)
        return {**plain_facets(params), "path": stated_paths(workspace, named)} if named else {}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(workspace, paths(params))}

    made = tool(
        "fs.apply_patch",
        "write",
        apply_patch,
        workspace,
        confinement=workspace.confinement,
        facets=facets,
        implied=implied,
        # A patch that does not fit shows lines of the file.
        files=("fs.read", "fs.write"),
        precheck=would_apply,
        foreign=workspace.foreign.overlaps,
    )
    return (made,)


def _encoded(patch: str) -> bytes:
    try:
        return patch.encode()
    except UnicodeEncodeError as error:
        raise ToolError("The patch holds a lone surrogate: give valid Unicode.", code="invalid_params") from error


class _Files:
    """The files that a patch reads, and their paths after links are followed."""

    def __init__(self, workspace: Workspace, deadline: Deadline) -> None:
        self._workspace = workspace
        self._deadline = deadline
        self._places: dict[str, str] = {}

    def read(self, path: str) -> Content | None:
        """Return the content of a file; None if it does not exist. Raises `ToolError` if the path cannot be read."""
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
        """Check that links do not change the meaning of the plan. Raises `ToolError` if they do."""
        named: dict[str, str] = {}
        for effect in plan.effects:
            place = self._places.get(effect.path, effect.path)
            # As with `fs.write`, a change through a link changes its target. Removing the target would leave a link
            # to nothing, and removing the link is not what the patch describes.
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
        """Check that the nearest existing parent of a new file is a folder. Raises `ToolError` if it is not."""
        # A dry run writes nothing, so it would not find this out.
        for folder in map(str, PurePosixPath(path).parents):
            try:
                entry = self._workspace.entry(folder)
            except ToolError as error:
                if error.code != "not_found":
                    raise
                continue
            if entry.type != "directory":
                raise ToolError(f"{path!r} cannot be made: {folder!r} is not a folder.", code="not_allowed")
            return
