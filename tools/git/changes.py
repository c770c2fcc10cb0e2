"""What a diff says: the files with their counts, and its text without that of secrets.

git writes the files first, as values, and the text behind them. A section of the text is shown if its header is one
that a file of the list that may be shown has, and no other file has; so nothing has to be read out of a header.
Source: git-diff(1), "Raw output format" and "Other diff formats".
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from tools.git.limits import Limits
from tools.git.quoting import quoted
from tools.git.texts import parts_of, path_of
from tools.workspace import SecretNames
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


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its path beneath the workspace, where it was renamed or copied from, and lines added and removed.

    Those are null for a binary file, and where git's output was cut off before them.
    """

    path: str
    action: Action
    source: str | None
    added: int | None
    removed: int | None
    binary: bool


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The text shows the `files`; of the `withheld` ones, whose names are those of secrets, only the path is told."""

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
    """For a command that shows a diff: what is parsed here, whatever the repository would rather have.

    Names in the text are those beneath the workspace, as far as the repository's folder can be written.
    """
    old, new = _prefixes(root)
    return (
        *("--raw", "--numstat", "--patch", "-z", "--no-color", "--find-renames", "-l1000", "--unified=3"),
        *("--inter-hunk-context=0", "--diff-algorithm=histogram", "--no-relative", "--no-indent-heuristic"),
        *(f"--src-prefix={old}", f"--dst-prefix={new}"),
    )


def parse_changes(output: bytes, root: Parts, secret_names: SecretNames, limits: Limits, *, complete: bool) -> Changes:
    """The changes that git's output tells; what is past a limit, or was cut off, makes them `truncated`."""
    reading = _Reading()
    text = reading.take(output)
    changed = list(dict.fromkeys(reading.changed))
    hidden = {file for file in changed if _is_hidden(file, root, secret_names)}
    conflicted = {file.path for file in changed if file.action == "conflicted"}
    files = [file for file in changed if file not in hidden and not _is_second(file, conflicted)]
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
        files=[_file(file, reading.counts.get(file.path), root) for file in files[: limits.max_files]],
        withheld=withheld[: limits.max_files],
        truncated=not (complete and whole) or max(len(files), len(withheld)) > limits.max_files,
    )


class _Reading:
    """The values in front of the text."""

    def __init__(self) -> None:
        self.changed: list[_Changed] = []
        self.counts: dict[bytes, _Counts] = {}

    def take(self, output: bytes) -> bytes:
        """Reads them, and returns the text. A record that was cut off is left out."""
        position = 0
        while (end := output.find(b"\0", position)) >= 0:
            record, position = output[position:end], end + 1
            if not record:
                return output[position:]
            position = self._take_record(record, output, position)
        return b""

    def _take_record(self, record: bytes, output: bytes, position: int) -> int:
        """Reads one record and the names that follow it. Returns where the next begins."""
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
    """The next names, or none where they were cut off, and where the output goes on."""
    names = []
    for _ in range(count):
        end = output.find(b"\0", position)
        if end < 0:
            return (), len(output)
        names.append(output[position:end])
        position = end + 1
    return names, position


def _is_second(file: _Changed, conflicted: set[bytes]) -> bool:
    """Whether a file with a conflict is told of twice: that it has one, and how it differs from ours."""
    return file.action != "conflicted" and file.path in conflicted


def _is_hidden(file: _Changed, root: Parts, secret_names: SecretNames) -> bool:
    """Whether one of its names is a secret's or git's own, or is made to mean another file."""
    for name in {file.source, file.path}:
        parts = parts_of(name, root)
        if ".." in parts or secret_names.cover(parts) or any(map(is_git, parts)):
            return True
    return False


def _headers(files: Iterable[_Changed], root: Parts) -> dict[bytes, set[_Changed]]:
    """The files that each first line of a section can mean."""
    old, new = (prefix.encode() for prefix in _prefixes(root))
    headers: dict[bytes, set[_Changed]] = {}
    for file in files:
        line = b"diff --git %s %s" % (quoted(old, file.source), quoted(new, file.path))
        headers.setdefault(line, set()).add(file)
    return headers


def _with_whole_names(section: bytes, files: Iterable[_Changed], root: Parts) -> bytes:
    """The section with the names beneath the workspace also where git puts no prefix before them."""
    folder = _prefixes(root)[0].encode().removeprefix(b"a/")
    for file in files:
        for word, name in ((b"from", file.source), (b"to", file.path)):
            for verb in (b"rename", b"copy"):
                start = b"\n%s %s " % (verb, word)
                section = section.replace(start + quoted(b"", name) + b"\n", start + quoted(folder, name) + b"\n", 1)
    return section


def _joined(sections: Iterable[bytes], max_bytes: int) -> tuple[bytes, bool]:
    """The sections up to whole lines within the limit, and whether those are all of them."""
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
    """What stands before a name in the text. A folder that an argument cannot carry is left out."""
    folder = "".join(f"{part}/" for part in root)
    if not folder.isprintable():
        folder = ""
    return f"a/{folder}", f"b/{folder}"
