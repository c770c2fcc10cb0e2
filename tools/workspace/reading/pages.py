"""A page of a file: some of its lines, with the size and the hash of the whole file."""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from tools.base import ToolError
from tools.workspace.confinement.files import File
from tools.workspace.confinement.paths import shown
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.reading.lines import as_utf8, lines_of, marked_encoding, runs

HEAD_BYTES = 4 * 1024
"""Bytes by which the encoding of a file is recognised."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a file. `size` (bytes) and `sha256` are the whole file's; a very large file has no hash."""

    content: bytes
    encoding: str | None
    """The encoding of the file by its byte order mark; `content` is UTF-8 then."""
    size: int
    sha256: str | None
    next_offset: int | None
    """The number of the first line after the page; None on the last page."""


def read_page(file: File, *, offset: int, limit: int | None, limits: Limits, deadline: Deadline) -> Page:
    """Return a page from line `offset` (from 1), of at most `limit` lines and `max_read_bytes`.

    Raises `ToolError`: `invalid_params` past the end, `too_large` too far into a huge file, `timed_out`, `cancelled`.
    """
    # A line that did not fit into a page could never be read.
    max_line = min(limits.max_line_bytes, limits.max_read_bytes)
    scan = _Scan(file, max_line, limits, deadline)
    window = _Window(offset, limit, limits.max_read_bytes)
    encoding = marked_encoding(file.head(HEAD_BYTES))
    blocks: Iterable[bytes] = as_utf8(scan, encoding, max_line) if encoding else scan
    for run, count in runs(blocks, max_line):
        window.take(run, count)
        if window.followed:
            break
    if not window.reached and not scan.exhausted:
        raise ToolError(
            f"Line {offset} of {shown(file.path)} lies beyond the first {limits.max_scan_bytes} bytes, where reading "
            f"stops: give an offset up to {window.line - 1}.",
            code="too_large",
        )
    if not window.reached and offset > 1:
        raise ToolError(
            f"{shown(file.path)} has no line {offset}: its last is line {window.line - 1}.", code="invalid_params"
        )
    sha256 = scan.finish()
    more = window.followed or not scan.exhausted
    return Page(
        content=bytes(window.content),
        encoding=encoding,
        size=scan.size,
        sha256=sha256,
        next_offset=window.line if more else None,
    )


class _Scan:
    """A bounded pass over a file's blocks, which hashes them if the file is not too large."""

    def __init__(self, file: File, block_bytes: int, limits: Limits, deadline: Deadline) -> None:
        self._file_size = file.size
        self._digest = hashlib.sha256() if self._file_size <= limits.max_hash_bytes else None
        self._bound = limits.max_scan_bytes
        self._blocks = file.blocks(block_bytes, deadline)
        self._seen = 0
        self.exhausted = False
        """True once the end of the file was read."""

    def __iter__(self) -> Iterator[bytes]:
        while self._seen < self._bound:
            block = next(self._blocks, None)
            if block is None:
                self.exhausted = True
                return
            self._seen += len(block)
            if self._digest:
                self._digest.update(block)
            yield block

    @property
    def size(self) -> int:
        """The size of the file in bytes: counted, or as the system reports it if the end was not read."""
        return self._seen if self.exhausted else max(self._file_size, self._seen)

    def finish(self) -> str | None:
        """Read the rest of the file, and return its hash; None if it is too large."""
        if self._digest is None:
            return None
        for _ in self:
            continue
        return self._digest.hexdigest() if self.exhausted else None


class _Window:
    """The lines of the page, selected from the runs of the file."""

    def __init__(self, offset: int, limit: int | None, max_bytes: int) -> None:
        self._offset = offset
        self._end = None if limit is None else offset + limit
        self._max_bytes = max_bytes
        self.content = bytearray()
        self.line = 1
        """The number of the first line that was neither skipped nor taken."""
        self.followed = False
        """True once a line after the page's last was seen."""

    @property
    def reached(self) -> bool:
        """True once the page's first line was seen."""
        return self.line > self._offset

    def take(self, run: bytes, count: int) -> None:
        """Take the lines of the next run that belong to the page."""
        # Runs before the page are only counted: splitting them into lines would take most of the time.
        if self.line + count <= self._offset:
            self.line += count
            return
        for line in lines_of(run):
            if self.line >= self._offset:
                if self.line == self._end or len(self.content) + len(line) > self._max_bytes:
                    self.followed = True
                    return
                self.content += line
            self.line += 1
