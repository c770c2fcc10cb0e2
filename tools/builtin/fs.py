"""`fs.read`, `fs.list`, `fs.search`, `fs.write`: the files of the workspace."""

import base64
import binascii
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.workspace import (
    Change,
    Deadline,
    Entry,
    EntryType,
    Glob,
    LinePattern,
    LineSearch,
    Match,
    Page,
    Workspace,
    in_thread,
    read_page,
)

Encoding = Literal["utf-8", "base64"]

WorkspacePath = Annotated[str, msgspec.Meta(description="Path relative to the workspace, such as 'docs/guide.md'.")]
GlobText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=1000,
        description="Only files whose name matches, such as '*.py' or '*.{ts,tsx}'; "
        "with a slash, whose path beneath `path` does, such as 'src/**/*.py'.",
    ),
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a file. `size` and `sha256` are the whole file's; `next_offset` is where the next page begins."""

    content: str
    encoding: Encoding
    size: int
    sha256: str | None
    truncated: bool
    next_offset: int | None


class ListedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: its size in bytes, its last change in ISO 8601, UTC."""

    path: str
    type: EntryType
    size: int
    modified: str


class ListResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a folder; `truncated` where that is not all."""

    entries: list[ListedEntry]
    truncated: bool


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The matching lines; `truncated` where there may be more."""

    matches: list[Match]
    truncated: bool


class WriteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The file as it is now; `created` where there was none before."""

    path: str
    size: int
    sha256: str
    created: bool


async def read(
    workspace: Workspace,
    /,
    *,
    path: WorkspacePath,
    offset: Annotated[int, msgspec.Meta(ge=1, description="Number of the first line to read, from 1.")] = 1,
    limit: Annotated[int, msgspec.Meta(ge=1, description="The most lines to read; without it, all that fit.")]
    | None = None,
) -> ReadResult:
    """Reads a file of the workspace, or some of its lines.

    When `truncated` is true there is more: call again with `offset` set to `next_offset`. Lines keep their ends as
    they are. What is not UTF-8 text comes as base64. A very long line counts as several. `size` and
    `sha256` are the whole file's; give that hash to `fs.write` as `expected_sha256`. It is null for very large files.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> Page:
        with workspace.open_file(path) as file:
            return read_page(file, offset=offset, limit=limit, limits=workspace.limits, deadline=deadline)

    page = await in_thread(work, deadline)
    content, encoding = _as_text(page.content)
    return ReadResult(
        content=content,
        encoding=encoding,
        size=page.size,
        sha256=page.sha256,
        truncated=page.next_offset is not None,
        next_offset=page.next_offset,
    )


async def list_(
    workspace: Workspace,
    /,
    *,
    path: WorkspacePath = ".",
    recursive: Annotated[bool, msgspec.Meta(description="Also what is in the folders within.")] = False,
    glob: GlobText | None = None,
) -> ListResult:
    """Lists a folder of the workspace, in the order of the names, or tells of one file.

    A glob with a slash looks into folders also without `recursive`. Links are listed, not followed. When `truncated` is
    true not everything is shown: list a folder further down, or narrow the glob.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> ListResult:
        return _list(workspace, path, _glob(workspace, glob), deadline, recursive=recursive)

    return await in_thread(work, deadline)


async def search(
    workspace: Workspace,
    /,
    *,
    pattern: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=1000, description="Regular expression in RE2 syntax: no look-around."),
    ],
    path: WorkspacePath = ".",
    glob: GlobText | None = None,
    ignore_case: Annotated[bool, msgspec.Meta(description="Upper and lower case are the same.")] = False,
) -> SearchResult:
    """Searches the lines of a file, or of all files beneath a folder of the workspace, for a regular expression.

    Binary files, links, secrets and git's own folder are passed over. A long line is cut around its match. When
    `truncated` is true there may be more matches: narrow `path`, `glob` or `pattern`.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> SearchResult:
        wanted = _glob(workspace, glob)
        lines = LinePattern(pattern, ignore_case=ignore_case, max_size=workspace.limits.max_pattern_size)
        return _search(workspace, path, wanted, lines, deadline)

    return await in_thread(work, deadline)


async def write(
    workspace: Workspace,
    /,
    *,
    path: WorkspacePath,
    content: Annotated[str, msgspec.Meta(description="The whole new content of the file.")],
    encoding: Annotated[
        Encoding, msgspec.Meta(description="How `content` is given: as text, or as base64 of bytes.")
    ] = "utf-8",
    create_only: Annotated[bool, msgspec.Meta(description="Fail if the file exists.")] = False,
    expected_sha256: Annotated[
        str,
        msgspec.Meta(
            pattern="^[0-9a-fA-F]{64}$",
            max_length=64,
            description="SHA-256 of the content to replace, as `fs.read` gave it: fail if the file has changed since.",
        ),
    ]
    | None = None,
) -> WriteResult:
    """Writes a whole file of the workspace, replacing what was there, and makes the folders that it needs.

    It happens at once or not at all. A write through a link replaces the file that the link leads to.
    """
    if create_only and expected_sha256:
        raise ToolError(
            "Give either create_only or expected_sha256: a new file has no content to expect.", code="invalid_params"
        )
    deadline = Deadline(workspace.limits.max_seconds)
    change = Change(
        path=path, data=_as_bytes(content, encoding), create_only=create_only, expected_sha256=expected_sha256
    )
    (changed,) = await in_thread(lambda: workspace.apply((change,), deadline), deadline)
    return WriteResult(path=changed.path, size=changed.size, sha256=changed.sha256 or "", created=changed.created)


def tools(workspace: Workspace) -> tuple[Tool, ...]:
    """The file tools of one workspace."""

    def facets(params: Any) -> Facets:
        return {**plain_facets(params), "path": [workspace.named(params.path)]}

    return (
        tool("fs.read", "read", read, workspace, confinement=workspace.confinement, facets=facets),
        tool("fs.list", "read", list_, workspace, confinement=workspace.confinement, facets=facets),
        tool("fs.search", "read", search, workspace, confinement=workspace.confinement, facets=facets),
        tool("fs.write", "write", write, workspace, confinement=workspace.confinement, facets=facets),
    )


def _list(workspace: Workspace, path: str, glob: Glob | None, deadline: Deadline, *, recursive: bool) -> ListResult:
    root = workspace.entry(path)
    if root.type != "directory":
        return ListResult(entries=[_listed(root)], truncated=False)
    walk = workspace.walk(root, recursive=recursive or (glob is not None and glob.deep), deadline=deadline)
    entries: list[ListedEntry] = []
    for entry in walk:
        if glob and not glob.matches(entry.parts[len(root.parts) :]):
            continue
        if len(entries) == workspace.limits.max_entries:
            return ListResult(entries=entries, truncated=True)
        entries.append(_listed(entry))
    return ListResult(entries=entries, truncated=not walk.complete)


def _search(
    workspace: Workspace, path: str, glob: Glob | None, pattern: LinePattern, deadline: Deadline
) -> SearchResult:
    found = LineSearch(pattern, workspace.limits, deadline)
    root = workspace.entry(path)
    if root.type != "directory":
        with workspace.open_file(path) as file:
            found.look_into(file)
        return SearchResult(matches=found.matches, truncated=not found.complete)
    walk = workspace.walk(root, recursive=True, deadline=deadline)
    for entry in walk:
        if entry.type == "file" and (glob is None or glob.matches(entry.parts[len(root.parts) :])):
            # What is a secret, is gone by now or may not be read is passed over, as the model is told.
            with suppress(ToolError), workspace.open_entry(entry) as file:
                found.look_into(file)
        if not found.complete:
            break
    return SearchResult(matches=found.matches, truncated=not (found.complete and walk.complete))


def _listed(entry: Entry) -> ListedEntry:
    return ListedEntry(path=entry.path, type=entry.type, size=entry.size, modified=_iso(entry.modified_ns))


def _iso(modified_ns: int) -> str:
    """The time in milliseconds; one that no calendar has, which a file can be given, as the nearest that has."""
    try:
        moment = EPOCH + timedelta(microseconds=modified_ns // 1000)
    except OverflowError:
        moment = LATEST if modified_ns > 0 else EARLIEST
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _glob(workspace: Workspace, text: str | None) -> Glob | None:
    return None if text is None else Glob(text, workspace.limits.max_pattern_size)


def _as_text(content: bytes) -> tuple[str, Encoding]:
    """The content as JSON can hold it: text where it is UTF-8 without NUL."""
    if b"\0" not in content:
        with suppress(UnicodeDecodeError):
            return content.decode(), "utf-8"
    return base64.b64encode(content).decode(), "base64"


def _as_bytes(content: str, encoding: Encoding) -> bytes:
    """The bytes of a tool's param. Raises `ToolError` (`invalid_params`)."""
    try:
        return content.encode() if encoding == "utf-8" else base64.b64decode(content, validate=True)
    except UnicodeEncodeError as error:
        raise ToolError(
            "The content holds a lone surrogate: give valid Unicode, or base64.", code="invalid_params"
        ) from error
    except (binascii.Error, ValueError) as error:
        raise ToolError(f"The content is not valid base64: {error}.", code="invalid_params") from error
