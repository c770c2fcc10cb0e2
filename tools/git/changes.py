"""Parsing of a diff: its files with their counts, and its text without that of hidden files.

git writes the list of files first, and then the text. A section of the text is shown if its header belongs to a file
that may be shown, and to no other file.
Source: git-diff(1), "Raw output format" and "Other diff formats".
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from tools.git.limits import Limits
from tools.git.quoting import quoted
from tools.git.texts import parts_of, path_of
from tools.workspace.confinement.names import is_git
from tools.workspace.confinement.paths import Parts

Action = Literal["added", "modified", "deleted", "renamed", "copied", "type_changed", "conflicted"]
ACTIONS: dict[int, Action] = {
    ord("A"): "added",
    ord("M"): "modified",
    ord("D"): "deleted",
    ord("R"): "renamed",
    ord("C"): "copied",
    ord("T"): "type_changed",
    ord("U"): "conflicted",
}
TWO_NAMES = b"RC"
SECTION = re.compile(rb"^(?=diff --git |\* Unmerged path )", re.MULTILINE)
COUNTS = re.compile(rb"(-|[0-9]+)\t(-|[0-9]+)\t(.*)", re.DOTALL)
BINARY = b"-"
Hides = Callable[[Parts], bool]
"""Returns whether a file's text is not shown: a secret, or a file that the policy denies."""


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file: its path in the workspace, the `source` of a rename or copy, and the lines added and removed.

    The lines are null for a binary file, and if git's output was cut off before them.
    """

    path: str
    action: Action
    source: str | None
    added: int | None
    removed: int | None
    binary: bool


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The text with the changes of `files`. `withheld` are the paths of hidden files."""

    text: str
    files: list[FileChange]
    withheld: list[str]
    truncated: bool


class _Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A file as git names it; `source` is the same as `path` unless it was renamed or copied."""

    action: Action
    source: bytes
    path: bytes


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    added: bytes
    removed: bytes


def options(root: Parts) -> tuple[str, ...]:
    """Return the options of a command that shows a diff.

    Names in the text are paths in the workspace, if an argument can hold the repository's folder.
    """
    # Each of these has a setting that a repository could change; the parser needs exactly this output.
    old, new = _prefixes(root)
    return (
        "--raw",
        "--numstat",
        "--patch",
        "-z",
        "--no-color",
        "--find-renames",
        "-l1000",
        "--unified=3",
        "--inter-hunk-context=0",
        "--diff-algorithm=histogram",
        "--no-relative",
        "--no-indent-heuristic",
        f"--src-prefix={old}",
        f"--dst-prefix={new}",
    )


def parse_changes(output: bytes, root: Parts, hides: Hides, limits: Limits, *, complete: bool) -> Changes:
    """Return the changes in git's output. They are `truncated` beyond a limit, or if the output was cut off."""
    records = _Records()
    text = records.take(output)
    changed = list(dict.fromkeys(records.changed))
    hidden = {file for file in changed if _is_hidden(file, root, hides)}
    # git lists a file in conflict twice: as unmerged, and with its difference from ours.
    conflicted = {file.path for file in changed if file.action == "conflicted"}
    files = [
        file for file in changed if file not in hidden and (file.action == "conflicted" or file.path not in conflicted)
    ]
    # Names are not parsed out of a header, which is ambiguous for names with spaces: headers are made from the list
    # and compared. A header that could also mean a hidden file is not shown.
    headers = _headers(changed, root)
    may_be_shown = (
        _with_whole_names(section, meant, root)
        for section in SECTION.split(text)
        if (meant := headers.get(section.partition(b"\n")[0])) and not meant & hidden
    )
    shown, whole = _joined(may_be_shown, limits.max_text_bytes)
    if not complete:
        shown = shown[: shown.rfind(b"\n") + 1]
    withheld = sorted({path_of(file.path, root) for file in hidden})
    return Changes(
        text=shown.decode("utf-8", "replace"),
        files=[_file(file, records.counts.get(file.path), root) for file in files[: limits.max_files]],
        withheld=withheld[: limits.max_files],
        truncated=not (complete and whole) or max(len(files), len(withheld)) > limits.max_files,
    )


class _Records:
    """The records before the text of a diff."""

    def __init__(self) -> None:
        self.changed: list[_Changed] = []
        self.counts: dict[bytes, _Counts] = {}

    def take(self, output: bytes) -> bytes:
        """Read the records, and return the text after them. A record that was cut off is left out."""
        position = 0
        while (end := output.find(b"\0", position)) >= 0:
            record, position = output[position:end], end + 1
            if not record:
                return output[position:]
            position = self._take_record(record, output, position)
        return b""

    def _take_record(self, record: bytes, output: bytes, position: int) -> int:
        """Read one record and the names that follow it, and return the position of the next."""
        if record.startswith(b":"):
            letter = record.rsplit(b" ", 1)[-1][:1]
            names, position = _names(output, position, 2 if letter in TWO_NAMES else 1)
            if names and letter and letter[0] in ACTIONS:
                self.changed.append(_Changed(action=ACTIONS[letter[0]], source=names[0], path=names[-1]))
            return position
        counts = COUNTS.fullmatch(record)
        if counts is None:
            return position
        name = counts[3]
        if not name:
            names, position = _names(output, position, 2)
            name = names[-1] if names else b""
        self.counts[name] = _Counts(added=counts[1], removed=counts[2])
        return position


def _names(output: bytes, position: int, count: int) -> tuple[Sequence[bytes], int]:
    """Return the next names, or none if they were cut off, and the position after them."""
    names = []
    for _ in range(count):
        end = output.find(b"\0", position)
        if end < 0:
            return (), len(output)
        names.append(output[position:end])
        position = end + 1
    return names, position


def _is_hidden(file: _Changed, root: Parts, hides: Hides) -> bool:
    """Return whether one of the file's names is hidden, is git's own, or contains `..`."""
    for name in {file.source, file.path}:
        parts = parts_of(name, root)
        # A hostile tree can hold a name such as `..`, so that a path seems to be another file's.
        if ".." in parts or hides(parts) or any(map(is_git, parts)):
            return True
    return False


def _headers(files: Iterable[_Changed], root: Parts) -> dict[bytes, set[_Changed]]:
    """Return for each possible first line of a section the files that it may mean."""
    old, new = (prefix.encode() for prefix in _prefixes(root))
    headers: dict[bytes, set[_Changed]] = {}
    for file in files:
        line = b"diff --git %s %s" % (quoted(old, file.source), quoted(new, file.path))
        headers.setdefault(line, set()).add(file)
    return headers


def _with_whole_names(section: bytes, files: Iterable[_Changed], root: Parts) -> bytes:
    """Return the section with paths in the workspace also in the lines where git writes no prefix."""
    folder = _prefixes(root)[0].encode().removeprefix(b"a/")
    for file in files:
        for word, name in ((b"from", file.source), (b"to", file.path)):
            for verb in (b"rename", b"copy"):
                start = b"\n%s %s " % (verb, word)
                section = section.replace(start + quoted(b"", name) + b"\n", start + quoted(folder, name) + b"\n", 1)
    return section


def _joined(sections: Iterable[bytes], max_bytes: int) -> tuple[bytes, bool]:
    """Return the sections up to the last whole line within the limit, and whether that is all of them."""
    shown = bytearray()
    for section in sections:
        shown += section[: max_bytes + 1 - len(shown)]
        if len(shown) > max_bytes:
            return bytes(shown[: shown.rfind(b"\n", 0, max_bytes) + 1]), False
    return bytes(shown), True


def _file(file: _Changed, counts: _Counts | None, root: Parts) -> FileChange:
    binary = counts is not None and counts.added == BINARY
    countable = counts if counts and not binary else None
    return FileChange(
        path=path_of(file.path, root),
        action=file.action,
        source=path_of(file.source, root) if file.source != file.path else None,
        added=int(countable.added) if countable else None,
        removed=int(countable.removed) if countable else None,
        binary=binary,
    )


def _prefixes(root: Parts) -> tuple[str, str]:
    """Return the prefixes of old and new names in the text."""
    # An argument cannot carry every folder, such as one whose name is not UTF-8.
    folder = "".join(f"{part}/" for part in root)
    if not folder.isprintable():
        folder = ""
    return f"a/{folder}", f"b/{folder}"
