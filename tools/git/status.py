"""`git status` in its second porcelain format. Source: git-status(1)."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from tools.git.limits import Limits
from tools.git.texts import line, path_of
from tools.workspace.confinement.paths import Parts

COMMAND = ("status", "--porcelain=v2", "-z", "--branch", "--ahead-behind", "--untracked-files=normal", "--find-renames")

Kind = Literal[
    "added",
    "modified",
    "deleted",
    "renamed",
    "copied",
    "type_changed",
    "untracked",
    "both_modified",
    "both_added",
    "both_deleted",
    "added_by_us",
    "added_by_them",
    "deleted_by_us",
    "deleted_by_them",
]
CHANGES: dict[str, Kind] = {
    "A": "added",
    "M": "modified",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "T": "type_changed",
}
CONFLICTS: dict[str, Kind] = {
    "UU": "both_modified",
    "AA": "both_added",
    "DD": "both_deleted",
    "AU": "added_by_us",
    "UA": "added_by_them",
    "DU": "deleted_by_us",
    "UD": "deleted_by_them",
}
FIELDS_BEFORE_PATH = {"1": 8, "2": 9, "u": 10}


class StatusEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One path beneath the workspace, and what it was renamed or copied from."""

    path: str
    status: Kind
    source: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`branch` is null where HEAD is detached, `commit` before the first one.

    `ahead` and `behind` are commits, null without an upstream that is there. `root` is the repository's folder.
    """

    root: str
    branch: str | None
    commit: str | None
    upstream: str | None
    ahead: int | None
    behind: int | None
    staged: list[StatusEntry]
    unstaged: list[StatusEntry]
    untracked: list[StatusEntry]
    conflicted: list[StatusEntry]
    truncated: bool


def parse_status(output: bytes, root: Parts, limits: Limits, *, complete: bool) -> Status:
    """The status that git's output tells; what is past a limit, or was cut off, makes it `truncated`."""
    records = output.split(b"\0")[:-1]
    reading = _Reading(root, limits)
    for record, source in _with_sources(records):
        if reading.count >= limits.max_files:
            complete = False
            break
        reading.take(record, source)
    return reading.status(truncated=not complete)


def _with_sources(records: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Each record with the path that follows one of a rename; one whose source was cut off is left out."""
    pending = iter(records)
    for record in pending:
        if not record.startswith(b"2 "):
            yield record, None
        elif (source := next(pending, None)) is not None:
            yield record, source


class _Reading:
    def __init__(self, root: Parts, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._headers: dict[str, str] = {}
        self._staged: list[StatusEntry] = []
        self._unstaged: list[StatusEntry] = []
        self._untracked: list[StatusEntry] = []
        self._conflicted: list[StatusEntry] = []

    @property
    def count(self) -> int:
        return sum(map(len, (self._staged, self._unstaged, self._untracked, self._conflicted)))

    def take(self, record: bytes, source: bytes | None) -> None:
        """One record; of a kind that is not known, nothing."""
        kind = chr(record[0]) if record else ""
        if kind == "#":
            name, _, value = record[2:].partition(b" ")
            self._headers[name.decode("utf-8", "replace")] = line(value, self._limits.max_line_chars)
        elif kind == "?":
            self._untracked.append(StatusEntry(path=path_of(record[2:], self._root), status="untracked"))
        elif kind in FIELDS_BEFORE_PATH:
            fields = record.split(b" ", FIELDS_BEFORE_PATH[kind])
            self._take_change(fields[1].decode(), fields[-1], source)

    def _take_change(self, letters: str, path: bytes, source: bytes | None) -> None:
        if letters in CONFLICTS:
            self._conflicted.append(self._entry(path, CONFLICTS[letters], None))
            return
        for letter, entries in zip(letters, (self._staged, self._unstaged), strict=True):
            if letter in CHANGES:
                entries.append(self._entry(path, CHANGES[letter], source if letter in "RC" else None))

    def _entry(self, path: bytes, status: Kind, source: bytes | None) -> StatusEntry:
        return StatusEntry(
            path=path_of(path, self._root),
            status=status,
            source=None if source is None else path_of(source, self._root),
        )

    def status(self, *, truncated: bool) -> Status:
        head, commit = self._headers.get("branch.head"), self._headers.get("branch.oid")
        ahead, behind = _distances(self._headers.get("branch.ab", ""))
        return Status(
            root="/".join(self._root) or ".",
            branch=None if head == "(detached)" else head,
            commit=None if commit == "(initial)" else commit,
            upstream=self._headers.get("branch.upstream"),
            ahead=ahead,
            behind=behind,
            staged=self._staged,
            unstaged=self._unstaged,
            untracked=self._untracked,
            conflicted=self._conflicted,
            truncated=truncated,
        )


def _distances(text: str) -> tuple[int | None, int | None]:
    """The numbers of `+2 -1`."""
    numbers = [word[1:] for word in text.split()]
    if len(numbers) != 2 or not all(map(str.isdecimal, numbers)):
        return None, None
    return int(numbers[0]), int(numbers[1])
