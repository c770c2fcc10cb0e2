"""Parsing of `git status` in its porcelain format, version 2. Source: git-status(1)."""

from typing import Literal

import msgspec

from tools.base import Permits
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
    """A path in the workspace, and the `source` of a rename or copy."""

    path: str
    status: Kind
    source: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a repository. `branch` is null for a detached HEAD, `commit` before the first commit.

    `ahead` and `behind` are numbers of commits, null without an existing upstream. `root` is the repository's folder.
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


def parse_status(
    output: bytes, root: Parts, limits: Limits, *, complete: bool, permits: Permits | None = None
) -> Status:
    """Return the status in git's output, without files that the policy denies.

    It is `truncated` beyond a limit, or if the output was cut off.
    """
    # Without the NUL at its end, the last record was cut off.
    records = iter(output.split(b"\0")[:-1])
    parser = _Parser(root, limits, permits)
    for record in records:
        # The old path follows the record of a rename. A record whose old path was cut off is left out.
        is_rename = record.startswith(b"2 ")
        source = next(records, None) if is_rename else None
        if is_rename and source is None:
            break
        if parser.count >= limits.max_files:
            complete = False
            break
        parser.take(record, source)
    return parser.status(truncated=not complete)


class _Parser:
    def __init__(self, root: Parts, limits: Limits, permits: Permits | None) -> None:
        self._permits = permits
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
        """Take one record."""
        # git-status(1): parsers should ignore records of an unknown kind.
        kind = chr(record[0]) if record else ""
        if kind == "#":
            name, _, value = record[2:].partition(b" ")
            self._headers[name.decode("utf-8", "replace")] = line(value, self._limits.max_line_chars)
        elif kind == "?" and self._shows(record[2:]):
            self._untracked.append(StatusEntry(path=path_of(record[2:], self._root), status="untracked"))
        elif kind in FIELDS_BEFORE_PATH:
            fields = record.split(b" ", FIELDS_BEFORE_PATH[kind])
            letters, path = fields[1].decode(), fields[-1]
            if not all(map(self._shows, filter(None, (path, source)))):
                return
            if letters in CONFLICTS:
                self._conflicted.append(self._entry(path, CONFLICTS[letters], None))
                return
            for letter, entries in zip(letters, (self._staged, self._unstaged), strict=True):
                if letter in CHANGES:
                    entries.append(self._entry(path, CHANGES[letter], source if letter in "RC" else None))

    def _shows(self, path: bytes) -> bool:
        return self._permits is None or self._permits(path_of(path, self._root))

    def _entry(self, path: bytes, status: Kind, source: bytes | None) -> StatusEntry:
        return StatusEntry(
            path=path_of(path, self._root),
            status=status,
            source=None if source is None else path_of(source, self._root),
        )

    def status(self, *, truncated: bool) -> Status:
        head, commit = self._headers.get("branch.head"), self._headers.get("branch.oid")
        # `branch.ab` is such as `+2 -1`; there is none without an upstream.
        distances = [word[1:] for word in self._headers.get("branch.ab", "").split()]
        known = len(distances) == 2 and all(map(str.isdecimal, distances))
        return Status(
            root="/".join(self._root) or ".",
            branch=None if head == "(detached)" else head,
            commit=None if commit == "(initial)" else commit,
            upstream=self._headers.get("branch.upstream"),
            ahead=int(distances[0]) if known else None,
            behind=int(distances[1]) if known else None,
            staged=self._staged,
            unstaged=self._unstaged,
            untracked=self._untracked,
            conflicted=self._conflicted,
            truncated=truncated,
        )
