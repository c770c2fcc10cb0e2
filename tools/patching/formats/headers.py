"""What a unified diff says before a file's hunks: its names, its modes, whether it is new, deleted, moved or copied.

Git's extended headers: https://git-scm.com/docs/diff-format ("Generating patch text with -p"). Git's own rule for the
names: those of `rename` and `copy` lines are whole; others have a prefix (`a/`, `b/`) or, with `--no-prefix`, none.
"""

import re
from typing import NoReturn

import msgspec

from tools.patching.formats.lines import Lines
from tools.patching.formats.names import QUOTED, path_of, refuse_long, unescaped, unquoted
from tools.patching.patch import Action, Section
from tools.patching.telling import expected, quoted, refusal

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
"""Those of git's `a/` and `b/`, and of its option `diff.mnemonicPrefix`."""
NOTHING = b"/dev/null"
EPOCH = re.compile(rb"(1969-12-31|1970-01-01) [0-2][0-9]:[0-5][0-9]:00(\.0+)? [-+][0-9]{2}:?[0-9]{2}")
"""The time that `diff -N` gives a file that does not exist."""

Fields = dict[bytes, bytes]


class Marks(msgspec.Struct, frozen=True):
    """The names after `---` and `+++`, with their prefixes; None for no file."""

    old: bytes | None
    new: bytes | None


class Names(msgspec.Struct, frozen=True):
    """The two names of a `diff --git` line, with their prefixes."""

    old: bytes
    new: bytes

    @property
    def common(self) -> bytes | None:
        """The one name that both are, but for their prefixes; None where they are two."""
        if self.old == self.new:
            return self.old
        prefixed = PREFIX.match(self.old) and PREFIX.match(self.new)
        return self.old[2:] if prefixed and self.old[2:] == self.new[2:] else None


def parse_plain_header(lines: Lines) -> Section:
    """The file of the `---` and `+++` lines that come next. Raises `ToolError`."""
    number = lines.number
    marks = _take_marks(lines)
    action = _action({}, marks, number)
    return Section(number=number, format="unified", action=action, path=path_of(_marked(marks, number), number))


def parse_git_header(lines: Lines) -> Section:
    """The file of the `diff --git` line that comes next, and of what belongs to it. Raises `ToolError`."""
    number = lines.number
    pair = _pair(lines.take().removeprefix(b"diff --git "), number)
    fields = _take_fields(lines)
    refuse_binary(lines)
    marks = _take_marks(lines) if lines.starts(b"--- ") else None
    action = _action(fields, marks, number)
    source, name = _names(pair, fields, marks, number)
    return Section(
        number=number,
        format="unified",
        action=action,
        path=path_of(name, number),
        source=None if source is None else path_of(source, number),
        executable=_executable(fields),
    )


def refuse_binary(lines: Lines) -> None:
    """Raises `ToolError` where the next line says that a file is binary."""
    line = lines.peek()
    if line is not None and BINARY.fullmatch(line):
        raise refusal(
            lines.number, f"{quoted(line)}: binary patches are not applied: write the file instead.", "not_allowed"
        )


def _take_fields(lines: Lines) -> Fields:
    """The extended header lines. Raises `ToolError` for one that is there twice or without its partner."""
    fields: Fields = {}
    number = lines.number
    while match := EXTENDED.fullmatch(lines.peek() or b""):
        if match[1] in fields:
            raise refusal(lines.number, f"{quoted(match[1])} is there twice.")
        fields[match[1]] = match[2]
        _refuse_kind(match[1], match[2], lines.number)
        lines.take()
    for one, other in PARTNERS:
        if (one in fields) != (other in fields):
            raise refusal(number, f"{quoted(one)} and {quoted(other)} belong together.")
    return fields


def _refuse_kind(name: bytes, value: bytes, number: int) -> None:
    """Raises `ToolError` for a mode that is not a regular file's."""
    mode = value if name in MODES else value.partition(b" ")[2] if name == b"index" else b""
    if not mode and name not in MODES:
        return
    if mode in KINDS:
        raise refusal(number, f"mode {mode.decode()} is {KINDS[mode]}: only regular files are patched.", "not_allowed")
    if not REGULAR.fullmatch(mode):
        raise refusal(number, f"expected mode 100644 or 100755, found {quoted(mode)}.")


def _executable(fields: Fields) -> bool | None:
    mode = fields.get(b"new mode") or fields.get(b"new file mode")
    return None if mode is None else bool(int(mode, 8) & OWNER_EXECUTES)


def _take_marks(lines: Lines) -> Marks:
    """The `---` and `+++` lines."""
    old = _mark(lines, b"--- ")
    return Marks(old, _mark(lines, b"+++ "))


def _mark(lines: Lines, start: bytes) -> bytes | None:
    """The name after the mark, up to the tab that ends it."""
    number = lines.number
    if not lines.starts(start):
        raise expected(number, f"'{start.decode()}<file>'", lines.peek())
    name, _, time = lines.take().removeprefix(start).partition(b"\t")
    return None if name == NOTHING or EPOCH.fullmatch(time) else unquoted(name, number)


def _action(fields: Fields, marks: Marks | None, number: int) -> Action:
    """What happens to the file. Raises `ToolError` where two things are said."""
    said = {action for field, action in ACTIONS.items() if field in fields}
    if marks and marks.old is None:
        said.add("add")
    if marks and marks.new is None:
        said.add("delete")
    if len(said) > 1 or (said & {"add", "delete"} and b"new mode" in fields):
        raise refusal(
            number, "the header contradicts itself: a file is either new, deleted, renamed, copied or changed."
        )
    action = said.pop() if said else "update"
    named = marks and (marks.old if action == "add" else marks.new if action == "delete" else None)
    if named:
        raise refusal(number, f"the header contradicts itself: expected '/dev/null', found {quoted(named)}.")
    return action


def _names(pair: Names | None, fields: Fields, marks: Marks | None, number: int) -> tuple[bytes | None, bytes]:
    """The source of a moved or copied file, and the file's own name, both without prefix."""
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
    if marks and not (marks.old in {None, pair.old} and marks.new in {None, pair.new}):
        _refuse_other_names(number)
    return None, name


def _refuse_other_names(number: int) -> NoReturn:
    raise refusal(number, "the names after '---' and '+++' are others than those before them.")


def _is_prefixed(mark: bytes | None, name: bytes) -> bool:
    return mark is not None and (mark == name or (bool(PREFIX.match(mark)) and mark[2:] == name))


def _marked(marks: Marks, number: int) -> bytes:
    """The one name after `---` and `+++`, without prefix. Beside `/dev/null`, what looks like a prefix is one."""
    if marks.old is None or marks.new is None:
        name = marks.old or marks.new or b""
        return name[2:] if name.startswith((b"a/", b"b/")) else name
    common = Names(marks.old, marks.new).common
    if common is None:
        raise refusal(
            number,
            f"{quoted(marks.old)} and {quoted(marks.new)} are two files: give one name in both lines, with 'a/' and "
            "'b/' before it or with neither; a file is renamed by 'rename from' and 'rename to' after 'diff --git'.",
        )
    return common


def _pair(text: bytes, number: int) -> Names | None:
    """The two names of a `diff --git` line; None where their spaces leave it open where one ends."""
    refuse_long(text, number)
    if match := QUOTED.match(text):
        rest = text[match.end() :]
        return Names(unescaped(match[1], number), unquoted(rest[1:], number)) if rest.startswith(b" ") else None
    if text.endswith(b'"'):
        old, _, new = text.partition(b' "')
        return Names(old, unquoted(b'"' + new, number))
    middle = len(text) // 2
    even = len(text) % 2 == 1 and text[middle : middle + 1] == b" "
    return Names(text[:middle], text[middle + 1 :]) if even else None
