"""Search for a pattern in the lines of many files, in bounded time."""

from collections.abc import Iterator
from itertools import chain, takewhile

import msgspec

from tools.workspace.confinement.files import File
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.reading.lines import MARKS, as_utf8, lines_of, marked_encoding, runs
from tools.workspace.reading.patterns import LinePattern


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A matching line: its file, its number (from 1, as `fs.read` counts), and its text or a part of it."""

    path: str
    line: int
    text: str


class LineSearch:
    """Collects the matching lines of files. It is no longer `complete` once a limit is reached."""

    def __init__(self, pattern: LinePattern, limits: Limits, deadline: Deadline) -> None:
        self._pattern = pattern
        self._limits = limits
        self._deadline = deadline
        self._bytes_left = limits.max_scan_bytes
        self.matches: list[Match] = []
        self.complete = True

    def look_into(self, file: File) -> None:
        """Add the matches of a file. A file with a NUL is binary: its search ends at that block."""
        head = file.head(self._limits.max_line_bytes)
        # Most files are one block without a match, and need not be taken apart.
        if len(head) < self._limits.max_line_bytes and head[:2] not in MARKS and not self._pattern.may_be_in(head):
            self._bytes_left -= len(head)
            self.complete = self._bytes_left >= 0
            return
        number = 1
        blocks: Iterator[bytes] = self._blocks(file)
        first = next(blocks, b"")
        encoding = marked_encoding(first)
        blocks = chain((first,), blocks)
        if encoding:
            blocks = as_utf8(blocks, encoding, self._limits.max_line_bytes)
        # A block with a NUL is binary.
        texts = takewhile(lambda block: b"\0" not in block, blocks)
        for run, count in runs(texts, self._limits.max_line_bytes):
            if self._pattern.may_be_in(run):
                self._add_matches(file.path, run, number)
                if not self.complete:
                    return
            number += count

    def _blocks(self, file: File) -> Iterator[bytes]:
        for block in file.blocks(self._limits.max_line_bytes):
            self._bytes_left -= len(block)
            if self._deadline.over or self._bytes_left < 0:
                self.complete = False
                return
            yield block

    def _add_matches(self, path: str, run: bytes, number: int) -> None:
        for line_number, line in enumerate(lines_of(run), number):
            text = line.removesuffix(b"\n").removesuffix(b"\r")
            start = self._pattern.find(text)
            if start is None:
                continue
            if len(self.matches) == self._limits.max_matches:
                self.complete = False
                return
            shown, max_chars = text.decode("utf-8", "replace"), self._limits.max_match_chars
            if len(shown) > max_chars:
                # Most of the excerpt of a long line follows the start of the match.
                first = max(len(text[:start].decode("utf-8", "replace")) - max_chars // 4, 0)
                last = first + max_chars
                shown = f"{'…' if first else ''}{shown[first:last]}{'…' if last < len(shown) else ''}"
            self.matches.append(Match(path=path, line=line_number, text=shown))
