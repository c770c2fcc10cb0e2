"""`fs.read`, `fs.list`, `fs.search`, `fs.write`: the files of the workspace."""

import base64
import binascii
import codecs
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec

from tools.base import Facets, Tool, ToolError, plain_facets, tool
from tools.output.masking import MASK, refuse_mask
from tools.workspace import (
    Change,
    Changed,
    Deadline,
    Entry,
    EntryType,
    Glob,
    LinePattern,
    LineSearch,
    Match,
    Page,
    Wanted,
    Workspace,
    in_thread,
    read_page,
)
from tools.workspace.naming import implied_paths, stated_paths
from tools.workspace.walking import every_entry

Encoding = Literal["utf-8", "base64", "utf-16", "utf-16-be", "windows-1252", "iso-8859-1"]
CODECS = {"utf-16-le": "utf-16"}
"""Names of encodings in results that differ from Python's."""

LEGACY: tuple[Encoding, ...] = ("windows-1252", "iso-8859-1")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MIN_PLAIN = 0.7
LEGACY_BYTES = 64 * 1024
"""The share of ASCII from which bytes that are not UTF-8 are text in a legacy encoding."""

WorkspacePath = Annotated[str, msgspec.Meta(description="Path relative to the workspace, such as 'docs/guide.md'.")]
GlobText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=1000,
        description="Only files whose names match, such as '*.py' or '*.{ts,tsx}'. "
        "A glob with a slash is matched against the path below `path`, such as 'src/**/*.py'.",
    ),
]
IgnoredFlag = Annotated[bool, msgspec.Meta(description="Include files that `.gitignore` names.")]

# `datetime.fromtimestamp` raises for times that a file can be given, so they are added to this.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a file. `size` and `sha256` are the whole file's; `next_offset` is the first line of the next page."""

    content: str
    encoding: Encoding
    size: int
    sha256: str | None
    truncated: bool
    next_offset: int | None


class ListedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a folder. `size` is in bytes; `modified` is ISO 8601 in UTC."""

    path: str
    type: EntryType
    size: int
    modified: str


class ListResult(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a folder. `truncated` is true if there are more."""

    entries: list[ListedEntry]
    truncated: bool


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The matching lines. `truncated` is true if there may be more."""

    matches: list[Match]
    truncated: bool


class WriteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The file after the write. `created` is true if it did not exist before."""

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
    limit: Annotated[int, msgspec.Meta(ge=1, description="Maximum number of lines; by default, all that fit.")]
    | None = None,
) -> ReadResult:
    """Read a file of the workspace, or some of its lines.

    When `truncated` is true there is more: call again with `offset` set to `next_offset`. Line ends are returned
    unchanged. `encoding` is that of the file, for `fs.write`; a binary file is returned as base64. A very long line
    counts as several. `size` and `sha256` are the whole file's; give that hash to `fs.write` as `expected_sha256`. It
    is null for very large files.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> Page:
        with workspace.open_file(path) as file:
            return read_page(file, offset=offset, limit=limit, limits=workspace.limits, deadline=deadline)

    page = await in_thread(work, deadline)
    content, encoding = _decoded(page.content)
    if page.encoding and encoding == "utf-8":
        encoding = msgspec.convert(CODECS.get(page.encoding, page.encoding), Encoding)
    return ReadResult(
        content=content,
        encoding=encoding,
        size=page.size,
        sha256=page.sha256,
        truncated=page.next_offset is not None,
        next_offset=page.next_offset,
    )


def _decoded(data: bytes) -> tuple[str, Encoding]:
    """Return bytes as text with their encoding, or as base64."""
    # JSON can hold NUL, but PostgreSQL cannot store it.
    if b"\0" not in data:
        with suppress(UnicodeDecodeError):
            return data.decode(), "utf-8"
        plain = sum(byte < 0x80 for byte in data[:LEGACY_BYTES])
        if not CONTROL.search(data) and plain >= MIN_PLAIN * min(len(data), LEGACY_BYTES):
            for encoding in LEGACY:
                with suppress(UnicodeDecodeError):
                    return data.decode(encoding), encoding
    return base64.b64encode(data).decode(), "base64"


async def list_(
    workspace: Workspace,
    /,
    *,
    path: WorkspacePath = ".",
    recursive: Annotated[bool, msgspec.Meta(description="Also list the entries of subfolders, at any depth.")] = False,
    glob: GlobText | None = None,
    ignored: IgnoredFlag = False,
) -> ListResult:
    """List a folder of the workspace in the order of the names, or show the entry of one file.

    A glob with a slash searches subfolders even without `recursive`. Links are listed, not followed. What
    `.gitignore` names is left out. When `truncated`
    is true the list is not complete: list a subfolder, or narrow the glob.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> ListResult:
        pattern = _glob(workspace, glob)
        root = workspace.entry(path)
        if root.type != "directory":
            return ListResult(entries=[_listed(root)], truncated=False)
        wanted = Wanted(match=pattern.matches, ignored=ignored) if pattern else Wanted(ignored=ignored)
        deep = recursive or (pattern is not None and pattern.deep)
        walk = workspace.walk(root, recursive=deep, deadline=deadline, wanted=wanted)
        found = list(islice(walk, workspace.limits.max_entries + 1))
        # Only one more entry shows that there are more than the maximum.
        more = len(found) > workspace.limits.max_entries
        found = sorted(found[: workspace.limits.max_entries], key=attrgetter("parts"))
        return ListResult(entries=[_listed(entry) for entry in found], truncated=more or not walk.complete)

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
    ignore_case: Annotated[bool, msgspec.Meta(description="Match upper and lower case alike.")] = False,
    ignored: IgnoredFlag = False,
) -> SearchResult:
    """Search the lines of a file, or of all files below a folder of the workspace, for a regular expression.

    Binary files, links, secrets, git's own folder and what `.gitignore` names are skipped. A long line is cut around
    its match. When `truncated` is true there may be more matches: narrow `path`, `glob` or `pattern`.
    """
    deadline = Deadline(workspace.limits.max_seconds)

    def work() -> SearchResult:
        names = _glob(workspace, glob)
        lines = LinePattern(pattern, ignore_case=ignore_case, max_size=workspace.limits.max_pattern_size)
        found = LineSearch(lines, workspace.limits, deadline)
        root = workspace.entry(path)
        if root.type != "directory":
            with workspace.open_file(path) as file:
                found.look_into(file)
            return SearchResult(matches=found.matches, truncated=not found.complete)
        match = names.matches if names else every_entry
        wanted = Wanted(match=match, status=False, ignored=ignored)
        walk = workspace.walk(root, recursive=True, deadline=deadline, wanted=wanted)
        for entry in walk:
            if entry.type == "file":
                try:
                    with workspace.open_entry(walk, entry) as file:
                        found.look_into(file)
                except ToolError:  # a secret, or a file that was removed meanwhile or may not be read
                    continue
            if not found.complete:
                break
        matches = sorted(found.matches, key=lambda match: match.path.split("/"))
        return SearchResult(matches=matches, truncated=not (found.complete and walk.complete))

    return await in_thread(work, deadline)


async def write(
    workspace: Workspace,
    /,
    *,
    path: WorkspacePath,
    content: Annotated[str, msgspec.Meta(description="The whole new content of the file.")],
    encoding: Annotated[
        Encoding,
        msgspec.Meta(description="The encoding of the file, as `fs.read` returns it; with base64, `content` is bytes."),
    ] = "utf-8",
    create_only: Annotated[bool, msgspec.Meta(description="Fail if the file exists.")] = False,
    expected_sha256: Annotated[
        str,
        msgspec.Meta(
            pattern="^[0-9a-fA-F]{64}$",
            max_length=64,
            description="SHA-256 of the content to replace, from `fs.read`: fail if the file has changed since.",
        ),
    ]
    | None = None,
) -> WriteResult:
    """Write a whole file of the workspace, replacing its old content, and make the folders that it needs.

    The write is atomic: it happens completely or not at all. A write through a link replaces the target of the link.
    """
    if create_only and expected_sha256:
        raise ToolError(
            "Give either create_only or expected_sha256: a new file has no content to expect.", code="invalid_params"
        )
    try:
        data = _encoded(content, encoding)
    except UnicodeEncodeError as error:
        raise ToolError(
            f"{encoding} cannot hold {error.object[error.start]!a} (a lone surrogate is never valid): choose another.",
            code="invalid_params",
        ) from error
    except (binascii.Error, ValueError) as error:
        raise ToolError(f"The content is not valid base64: {error}.", code="invalid_params") from error
    deadline = Deadline(workspace.limits.max_seconds)
    change = Change(path=path, data=data, create_only=create_only, expected_sha256=expected_sha256)

    def work() -> Changed:
        before = b""
        if MASK.encode() in data:
            with suppress(ToolError):
                before = workspace.read_bytes(path)
        refuse_mask(path, before, data)
        return workspace.apply((change,), deadline)[0]

    changed = await in_thread(work, deadline)
    return WriteResult(path=changed.path, size=changed.size, sha256=changed.sha256 or "", created=changed.created)


async def would_write(workspace: Workspace, /, *, path: str, **_: Any) -> None:
    """Raise the `ToolError` of a path that cannot be written, such as one outside or a secret."""
    await in_thread(lambda: workspace.check_writable(path), Deadline(workspace.limits.max_seconds))


def _encoded(content: str, encoding: Encoding) -> bytes:
    """Return the bytes of a content. Raises `UnicodeEncodeError`, and `ValueError` for invalid base64."""
    if encoding == "base64":
        return base64.b64decode(content, validate=True)
    if encoding == "utf-16":
        return codecs.BOM_UTF16_LE + content.encode("utf-16-le")
    return (codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b"") + content.encode(encoding)


def tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the file tools of a workspace."""

    def facets(params: Any) -> Facets:
        return {**plain_facets(params), "path": stated_paths(workspace, (params.path,))}

    def implied(params: Any) -> Facets:
        return {"path": implied_paths(workspace, (params.path,))}

    common: dict[str, Any] = {
        "confinement": workspace.confinement,
        "facets": facets,
        "implied": implied,
        "foreign": workspace.foreign.overlaps,
    }
    return (
        tool("fs.read", "read", read, workspace, **common),
        tool("fs.list", "read", list_, workspace, **common),
        # It shows the content of files.
        tool("fs.search", "read", search, workspace, **common, files=("fs.read",)),
        tool("fs.write", "write", write, workspace, **common, precheck=would_write),
    )


def _listed(entry: Entry) -> ListedEntry:
    try:
        moment = EPOCH + timedelta(microseconds=entry.modified_ns // 1000)
    except OverflowError:
        # A file can be given a time beyond every calendar: show the nearest one that exists.
        moment = LATEST if entry.modified_ns > 0 else EARLIEST
    modified = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ListedEntry(path=entry.path, type=entry.type, size=entry.size, modified=modified)


def _glob(workspace: Workspace, text: str | None) -> Glob | None:
    return None if text is None else Glob(text, workspace.limits.max_pattern_size)
