"""The header of a file in a unified diff: its names and modes, and whether it is new, deleted, moved or copied.

Git's extended headers: https://git-scm.com/docs/diff-format ("Generating patch text with -p"). The names in `rename`
and `copy` lines have no prefix. Other names have one (`a/`, `b/`), or none with `--no-prefix`.
"""

import re
from typing import NoReturn

import msgspec

from tools.patching.formats.lines import Lines
from tools.patching.formats.names import MAX_BYTES, QUOTED, other_names, path_of, refuse_long, unescaped, unquoted
from tools.patching.messages import expected, quoted, refusal
from tools.patching.patch import Action, Section

EXTENDED = re.compile(
    rb"(old mode|new mode|deleted file mode|new file mode|copy from|copy to|rename from|rename to"
    rb"|similarity index|dissimilarity index|index) (.*)",
    re.DOTALL,
)
ACTIONS: dict[bytes, Action] = {
    b"new file mode": "add",
    b"deleted file mode": "delete",
    b"rename from": "move",
    b"copy from": "copy",
}
PARTNERS = (
    (b"rename from", b"rename to"),
    (b"copy from", b"copy to"),
    (b"old mode", b"new mode"),
)
MODES = (b"old mode", b"new mode", b"deleted file mode", b"new file mode")
REGULAR = re.compile(rb"100[0-7]{3}")
KINDS = {b"120000": "a symbolic link", b"160000": "a submodule"}
OWNER_EXECUTES = 0o100

BINARY = re.compile(rb"GIT binary patch|Binary files .* differ", re.DOTALL)
PREFIX = re.compile(rb"[abciow12]/")
"""The prefixes of git: `a/`, `b/`, and those of its setting `diff.mnemonicPrefix`."""
NOTHING = frozenset({b"/dev/null", b"dev/null", b"a/dev/null", b"b/dev/null"})
TIME = re.compile(
    rb" +((?:[A-Z][a-z]{2} ){0,2}[ \d]?\d{1,3}[-\d ]*[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
    rb"(?: ?(?:Z|UTC|[-+]\d{2}:?\d{2}))?(?: \d{4})?)$"
)
"""A time after a name, if no tab separates them."""
BACKUPS = (b".orig", b".old", b".bak", b"~")
EPOCH = re.compile(rb"(1969-12-31|1970-01-01) [0-2][0-9]:[0-5][0-9]:00(\.0+)? [-+][0-9]{2}:?[0-9]{2}")
"""The time that `diff -N` writes for a file that does not exist."""

Fields = dict[bytes, bytes]


class Marks(msgspec.Struct, frozen=True):
    """The names after `---` and `+++`, with their prefixes; None for no file."""

    old: bytes | None
    new: bytes | None

    @property
    def common(self) -> bytes | None:
        """The common name without prefixes, of which one may be missing; None if there are two names."""
        if self.old is None or self.new is None:
            return None
        common = Names(self.old, self.new).common
        if common is None and _unprefixed(self.old) == _unprefixed(self.new):
            return _unprefixed(self.old)
        return common


class Names(msgspec.Struct, frozen=True):
    """The two names of a `diff --git` line, with their prefixes."""

    old: bytes
    new: bytes

    @property
    def common(self) -> bytes | None:
        """The common name without prefixes; None if there are two names."""
        if self.old == self.new:
            return self.old
        prefixed = PREFIX.match(self.old) and PREFIX.match(self.new)
        return self.old[2:] if prefixed and self.old[2:] == self.new[2:] else None


def parse_plain_header(lines: Lines) -> Section:
    """Parse the `---` and `+++` lines that come next. Raises `ToolError`."""
    number = lines.number
    marks = _take_marks(lines)
    action = _action({}, marks, number)
    name, other = _marked(marks, number), None
    if marks.old is not None and marks.new is not None and marks.common is None:
        other = path_of(_unprefixed(marks.old), number, lines.roots)
    names = _others(marks, name, lines)
    return Section(
        number=number,
        format="unified",
        action=action,
        path=path_of(name, number, lines.roots),
        others=tuple(path_of(one, number, lines.roots) for one in names) if action in {"update", "delete"} else (),
        unlike=other,
    )


def parse_git_header(lines: Lines) -> Section:
    """Parse the `diff --git` line that comes next, and its extended header. Raises `ToolError`."""
    number = lines.number
    pair = _pair(lines.take().removeprefix(b"diff --git "), number)
    fields = _take_fields(lines)
    refuse_binary(lines)
    marks = _take_marks(lines) if lines.starts(b"--- ") else None
    action = _action(fields, marks, number)
    source, name = _names(pair, fields, marks, number)
    mode = fields.get(b"new mode") or fields.get(b"new file mode")
    return Section(
        number=number,
        format="unified",
        action=action,
        path=path_of(name, number, lines.roots),
        source=None if source is None else path_of(source, number, lines.roots),
        others=tuple(path_of(one, number) for one in other_names(name, lines.roots)) if action == "update" else (),
        executable=None if mode is None else bool(int(mode, 8) & OWNER_EXECUTES),
    )


def refuse_binary(lines: Lines) -> None:
    """Raise `ToolError` if the next line marks a binary file."""
    line = lines.peek()
    if line is not None and BINARY.fullmatch(line):
        raise refusal(
            lines.number, f"{quoted(line)}: binary patches are not supported. Write the file instead.", "not_allowed"
        )


def _take_fields(lines: Lines) -> Fields:
    """Take the extended header lines. Raises `ToolError` for a line that is repeated or without its partner."""
    fields: Fields = {}
    number = lines.number
    while match := EXTENDED.fullmatch(lines.peek() or b""):
        if match[1] in fields:
            raise refusal(lines.number, f"{quoted(match[1])} is repeated.")
        fields[match[1]] = match[2]
        _check_mode(match[1], match[2], lines.number)
        lines.take()
    for one, other in PARTNERS:
        if (one in fields) != (other in fields):
            raise refusal(number, f"{quoted(one)} and {quoted(other)} belong together.")
    return fields


def _check_mode(name: bytes, value: bytes, number: int) -> None:
    """Check the mode in a header line, if it has one. Raises `ToolError` if it is not a regular file's."""
    mode = value if name in MODES else value.partition(b" ")[2] if name == b"index" else b""
    if not mode and name not in MODES:
        return
    if mode in KINDS:
        raise refusal(number, f"mode {mode.decode()} is {KINDS[mode]}: only regular files are patched.", "not_allowed")
    if not REGULAR.fullmatch(mode):
        raise refusal(number, f"expected mode 100644 or 100755, found {quoted(mode)}.")


def _take_marks(lines: Lines) -> Marks:
    """Take the `---` and `+++` lines."""
    old = _mark(lines, b"--- ")
    return Marks(old, _mark(lines, b"+++ "))


def _mark(lines: Lines, start: bytes) -> bytes | None:
    """Take one of the lines, and return its name; None for no file."""
    number = lines.number
    if not lines.starts(start):
        raise expected(number, f"'{start.decode()}<file>'", lines.peek())
    # diff writes a tab and the file's time after the name.
    name, _, time = lines.take().removeprefix(start).partition(b"\t")
    if not time and len(name) < MAX_BYTES and (match := TIME.search(name)):
        name, time = name[: match.start()], match[1]
    return None if name.strip() in NOTHING or EPOCH.fullmatch(time) else unquoted(name, number)


def _action(fields: Fields, marks: Marks | None, number: int) -> Action:
    """Return the action of the header. Raises `ToolError` if there are two."""
    actions = {action for field, action in ACTIONS.items() if field in fields}
    if marks and marks.old is None:
        actions.add("add")
    if marks and marks.new is None:
        actions.add("delete")
    if len(actions) > 1 or (actions & {"add", "delete"} and b"new mode" in fields):
        raise refusal(
            number, "the header contradicts itself: a file is either new, deleted, renamed, copied or changed."
        )
    action = actions.pop() if actions else "update"
    named = marks and (marks.old if action == "add" else marks.new if action == "delete" else None)
    # The header already says that the file is new or deleted.
    if named and (marks is None or marks.common is None):
        raise refusal(number, f"the header contradicts itself: expected '/dev/null', found {quoted(named)}.")
    return action


def _names(pair: Names | None, fields: Fields, marks: Marks | None, number: int) -> tuple[bytes | None, bytes]:
    """Return the source of a moved or copied file, and the file's own name, both without prefix."""
    for start, end in PARTNERS[:2]:
        if start in fields:
            moved = Names(unquoted(fields[start], number), unquoted(fields[end], number))
            if marks and not (_is_prefixed(marks.old, moved.old) and _is_prefixed(marks.new, moved.new)):
                _refuse_other_names(number)
            return moved.old, moved.new
    name = pair.common if pair else None
    if pair is None or name is None:
        if marks is None:
            raise refusal(
                number, "the names of the file are missing: expected '--- a/<file>' and '+++ b/<file>' lines."
            )
        return None, _marked(marks, number)
    if marks and not all(
        mark is None or _unprefixed(mark) in {name, _unprefixed(name)} for mark in (marks.old, marks.new)
    ):
        _refuse_other_names(number)
    return None, name


def _refuse_other_names(number: int) -> NoReturn:
    raise refusal(number, "the names after '---' and '+++' differ from those before them.")


def _is_prefixed(mark: bytes | None, name: bytes) -> bool:
    return mark is not None and (mark == name or (bool(PREFIX.match(mark)) and mark[2:] == name))


def _marked(marks: Marks, number: int) -> bytes:
    """Return the common name after `---` and `+++`, without prefix. Raises `ToolError` if there are two names."""
    if marks.old is None or marks.new is None:
        # With `/dev/null` on the other side there is no second name to compare, so `a/` and `b/` count as prefixes.
        name = marks.old or marks.new or b""
        return name[2:] if name.startswith((b"a/", b"b/")) else name
    common = marks.common
    if common is not None:
        return common
    # The name of a backup, or of the same file in another folder: the file that exists decides.
    old, new = _unprefixed(marks.old), _unprefixed(marks.new)
    if any(old == new + ending for ending in BACKUPS) or old.partition(b"/")[2] == new.partition(b"/")[2] != b"":
        return new
    raise refusal(
        number,
        f"{quoted(marks.old)} and {quoted(marks.new)} are two files. Give one name in both lines, with 'a/' and "
        "'b/' before it or with neither. To rename a file, use 'rename from' and 'rename to' after 'diff --git'.",
    )


def _others(marks: Marks, name: bytes, lines: Lines) -> tuple[bytes, ...]:
    """Return the names that the marks may also mean."""
    folderless = name.partition(b"/")[2] if marks.old and marks.new and marks.common is None else b""
    found = (*other_names(name, lines.roots), *filter(None, (folderless,)))
    return tuple(one for one in dict.fromkeys(found) if one != name)


def _unprefixed(name: bytes) -> bytes:
    return name[2:] if PREFIX.match(name) else name


def _pair(text: bytes, number: int) -> Names | None:
    """Return the two names of a `diff --git` line; None if spaces make it unclear where the first one ends."""
    refuse_long(text, number)
    if match := QUOTED.match(text):
        rest = text[match.end() :]
        return Names(unescaped(match[1], number), unquoted(rest[1:], number)) if rest.startswith(b" ") else None
    if text.endswith(b'"'):
        old, _, new = text.partition(b' "')
        return Names(old, unquoted(b'"' + new, number))
    # Nearly always both names are the same, apart from their prefixes: then the space is in the middle.
    middle = len(text) // 2
    even = len(text) % 2 == 1 and text[middle : middle + 1] == b" "
    return Names(text[:middle], text[middle + 1 :]) if even else None
