"""Whole workspaces as archives: all of the files that tools may read, and uploads of many files at once."""

import os
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from tools.base import ToolError
from tools.changes.log import RunChanges
from tools.changes.undo import restore
from tools.workspace import Change, Deadline, Wanted, Workspace
from tools.workspace.confinement.paths import joined
from tools.workspace.writing import Replaced
from tools.workspaces.archive_format import BLOCK, BadArchive, Member, header, members

MAX_ENTRIES: Final = 100_000
MAX_UNPACKED_BYTES: Final = 1024 * 2**20
"""Bytes that an archive of any size may unpack to."""

MAX_SECONDS: Final = 300.0
"""Seconds of unpacking one archive, or of packing one."""

CHUNK_FILES: Final = 64
CHUNK_BYTES: Final = 32 * 2**20
"""Files and bytes that are written at once."""

PIECE_BYTES: Final = 256 * 1_024
END: Final = b"\0" * (2 * BLOCK)
WITH_GZIP_HEADER: Final = 31
LEVEL: Final = 1
"""A low level of compression: a higher one takes several times as long for a few percent."""


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an upload: the number of files, of those that are new, and of bytes."""

    files: int
    created: int
    bytes: int


def pack(workspace: Workspace, path: str) -> Iterator[bytes]:
    """Yield an archive of the files below a folder. Secrets and hidden names are left out.

    Raises `ToolError` before the first piece if the folder cannot be read, and later if it could not be read whole.
    """
    deadline = Deadline(MAX_SECONDS)
    root = workspace.entry(path)
    if root.type != "directory":
        raise ToolError(f"{path!r} is not a folder.", code="not_allowed")
    packing = zlib.compressobj(LEVEL, wbits=WITH_GZIP_HEADER)
    pending = bytearray()
    # `ignored`: what `.gitignore` names belongs to the workspace too.
    walk = workspace.walk(root, recursive=True, deadline=deadline, wanted=Wanted(ignored=True))
    for entry in walk:
        if entry.type != "file":
            continue
        try:
            file = workspace.open_entry(walk, entry)
        except ToolError:  # a secret, or a file that was removed meanwhile or may not be read
            continue
        with file:
            # The header states the size, so the content must have it, even if the file changes meanwhile.
            size, left = file.size, file.size
            name = joined(entry.parts[len(root.parts) :])
            status = os.fstat(file.fileno())
            executable = bool(status.st_mode & stat.S_IXUSR)
            pending += packing.compress(header(name, size, status.st_mtime, executable=executable))
            for block in file.blocks(PIECE_BYTES, deadline):
                pending += packing.compress(block[:left])
                left -= len(block[:left])
                if len(pending) >= PIECE_BYTES:
                    yield bytes(pending)
                    pending.clear()
            pending += packing.compress(b"\0" * (left + -size % BLOCK))
    if not walk.complete:
        raise ToolError("The folder has too many files for one archive: ask for a subfolder.", code="too_large")
    pending += packing.compress(END)
    yield bytes(pending + packing.flush())


def unpack(workspace: Workspace, data: bytes, path: str) -> Unpacked:
    """Write the files of an archive below a folder of the workspace: all of them, or none. This blocks.

    Files that exist are replaced. Raises `BadArchive` and `ToolError`.
    """
    deadline = Deadline(MAX_SECONDS)
    names, size = _check(workspace, data, path, deadline)
    if workspace.quota:
        workspace.quota.check(len(names), size)
    created: list[Change] = []
    with tempfile.TemporaryDirectory() as kept:
        changes = RunChanges(Path(kept), MAX_UNPACKED_BYTES)

        def record(replaced: Iterable[Replaced]) -> None:
            earlier = [file for file in replaced if file.before is not None or file.before_size]
            if earlier:
                changes.record(earlier)

        writer = workspace.restricted(workspace.permits, record)
        try:
            for chunk in _chunks(data, path):
                edits = [Change(path=name, data=file.data, executable=file.executable) for name, file in chunk]
                for change, made in zip(edits, writer.apply(edits, deadline), strict=True):
                    if made.created:
                        created.append(Change(path=change.path, data=None, expected_sha256=made.sha256))
        except BaseException:
            for at in range(0, len(created), CHUNK_FILES):
                workspace.apply(created[at : at + CHUNK_FILES])
            restore(workspace, changes, "undo")
            raise
    return Unpacked(files=len(names), created=len(created), bytes=size)


def _check(workspace: Workspace, data: bytes, path: str, deadline: Deadline) -> tuple[set[str], int]:
    """Check the whole archive before anything is written, and return its paths and its size."""
    names: set[str] = set()
    folders: set[str] = set()
    size = 0
    for member in members(data, max_bytes=MAX_UNPACKED_BYTES, max_entries=MAX_ENTRIES, with_data=False):
        deadline.check()
        name = _inside(path, member.name)
        if name in names:
            raise BadArchive(f"{member.name[:200]!r} is twice in the archive.")
        if member.size > workspace.limits.max_write_bytes:
            raise ToolError(
                f"{member.name[:200]!r} has {member.size} bytes: the maximum for one file is "
                f"{workspace.limits.max_write_bytes} (FS_MAX_WRITE_BYTES).",
                code="too_large",
            )
        workspace.check_writable(name)
        names.add(name)
        folders.update(map(str, PurePosixPath(name).parents))
        size += member.size
    if both := sorted(names & folders):
        raise BadArchive(f"{both[0][:200]!r} is a file and a folder in the archive.")
    if not names:
        raise BadArchive("The archive has no files.")
    return names, size


def _inside(path: str, name: str) -> str:
    """Return the path of a member in the workspace. Raises `BadArchive` for a name that leads out."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
        raise BadArchive(f"{name[:200]!r} leads out of the archive's folder: only relative names are taken.")
    return str(PurePosixPath(path, *(part for part in parts if part not in {"", "."})))


def _chunks(data: bytes, path: str) -> Iterator[list[tuple[str, Member]]]:
    chunk: list[tuple[str, Member]] = []
    size = 0
    for member in members(data, max_bytes=MAX_UNPACKED_BYTES, max_entries=MAX_ENTRIES, with_data=True):
        chunk.append((_inside(path, member.name), member))
        size += member.size
        if len(chunk) >= CHUNK_FILES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
