"""The envelope format, between `*** Begin Patch` and `*** End Patch`.

    *** Begin Patch
    *** Add File: <path>           then lines with '+'
    *** Delete File: <path>
    *** Update File: <path>        then, to move it, '*** Move to: <path>', then hunks
    @@ <a line somewhere before>   one or more, or a bare '@@'; the first hunk may have none
     <lines with ' ', '-' or '+'>
    *** End of File                after a hunk that ends the file
    *** End Patch

It has no line numbers: a hunk is found by its lines, after those of its `@@`.
"""

import re
from typing import Final

from tools.patching.formats.lines import Lines
from tools.patching.formats.names import other_names, path_of
from tools.patching.limits import Allowance
from tools.patching.messages import expected, refusal
from tools.patching.patch import SIGNS, Action, Hunk, Line, Section

BEGIN = b"*** Begin Patch"
END = b"*** End Patch"
END_OF_FILE = b"*** End of File"
MOVE = b"*** Move to:"
FILE = re.compile(rb"\*\*\* (Add|Delete|Update) File:(.*)", re.DOTALL)
NUMBERS = re.compile(rb"@@ -\d+(,\d+)? \+\d+(,\d+)? @@.*", re.DOTALL)
SECTIONS = "'*** Add File: <path>', '*** Delete File: <path>', '*** Update File: <path>' or '*** End Patch'"
CHANGES = (b"*** ", b"diff --", b"--- ", b"+++ ", b"@@")
STOPS = (b"*** ", b"@@", b"```")
MAX_AHEAD: Final = 100
"""Lines that are read to decide where a line without a sign belongs."""

MAX_ANCHORS: Final = 8
"""`@@` lines before one hunk."""


def parse_envelope(lines: Lines, files: Allowance, hunks: Allowance) -> tuple[Section, ...]:
    """Return all sections of the patch, whose first line is the next one. Raises `ToolError`."""
    lines.take()
    sections: list[Section] = []
    while _next_stripped(lines) != END or not sections:
        files.spend()
        sections.append(_section(lines, hunks))
    lines.take()
    while (line := _next_stripped(lines)) is not None:
        # Prose is skipped, and a change is not.
        if line.startswith(CHANGES):
            raise expected(lines.number, f"no more changes after '{END.decode()}'", lines.peek())
        lines.take()
    return tuple(sections)


def _next_stripped(lines: Lines) -> bytes | None:
    """Return the next line that is not blank, without the white space around it."""
    while (line := lines.peek()) is not None and not line.strip():
        lines.take()
    return None if line is None else line.strip()


def _section(lines: Lines, allowed: Allowance) -> Section:
    number = lines.number
    match = FILE.fullmatch(lines.peek() or b"")
    if match is None:
        raise expected(number, SECTIONS, lines.peek())
    lines.take()
    name = match[2].strip().strip(b"`")
    path = path_of(name, number, lines.roots)
    if match[1] == b"Delete":
        return Section(number=number, format="envelope", action="delete", path=path, others=_others(name, lines))
    if match[1] == b"Add":
        # The content of a new file is one hunk.
        first = lines.number
        body: list[Line] = []
        while lines.starts(b"+") or _is_blank_inside(lines):
            body.append(Line("+", lines.take()[1:] + b"\n", first + len(body)))
        hunks = (Hunk(number=first, lines=tuple(body)),) if body else ()
        return Section(number=number, format="envelope", action="add", path=path, hunks=hunks)
    return _update(lines, name, number, allowed)


def _others(name: bytes, lines: Lines) -> tuple[str, ...]:
    """Return the names that are meant if no file has the written one: without a prefix of diffs."""
    return tuple(path_of(other, lines.number) for other in other_names(name, lines.roots))


def _is_blank_inside(lines: Lines) -> bool:
    """Return whether the next lines are blank, and a line with '+' follows them."""
    ahead = 0
    while ahead < MAX_AHEAD and (line := lines.peek(ahead)) is not None and not line.strip():
        ahead += 1
    return ahead > 0 and lines.starts(b"+", ahead)


def _update(lines: Lines, name: bytes, number: int, allowed: Allowance) -> Section:
    path = path_of(name, number, lines.roots)
    target: str | None = None
    if lines.starts(MOVE):
        move_number = lines.number
        target = path_of(lines.take().removeprefix(MOVE).strip(), move_number, lines.roots)
    hunks: list[Hunk] = []
    while lines.peek() is not None and not lines.starts(b"*** "):
        allowed.spend()
        hunks.append(_hunk(lines))
    if not hunks and target is None:
        raise expected(lines.number, "'@@', ' ', '-', '+' or '*** Move to: <path>'", lines.peek())
    action: Action = "update" if target is None else "move"
    source = None if target is None else path
    return Section(
        number=number,
        format="envelope",
        action=action,
        path=target or path,
        source=source,
        others=_others(name, lines) if target is None else (),
        hunks=tuple(hunks),
    )


def _hunk(lines: Lines) -> Hunk:
    number = lines.number
    anchors: list[bytes] = []
    while lines.starts(b"@@"):
        line = lines.take()
        text = line.removeprefix(b"@@").strip().removesuffix(b"@@").strip(b" \t.")
        # Models also write the line numbers of a unified diff here. They mean nothing in this format.
        if text and not NUMBERS.fullmatch(line):
            anchors.append(text)
    if len(anchors) > MAX_ANCHORS:
        raise refusal(number, f"{len(anchors)} '@@' lines before one hunk: at most {MAX_ANCHORS} are allowed.")
    body = _body(lines)
    if not body:
        raise expected(lines.number, "'@@', ' ', '-', '+' or '*** End Patch'", lines.peek())
    if all(line.sign == " " for line in body):
        raise refusal(number, f"the hunk has no line with '+' or '-': it ends before line {lines.number}.")
    at_end = (lines.peek() or b"").strip() == END_OF_FILE
    if at_end:
        lines.take()
    return Hunk(number=number, lines=body, anchors=tuple(anchors), at_end=at_end)


def _is_unsigned(lines: Lines) -> bool:
    """Return whether the next line is context that has lost its space: a change of the same hunk follows, or ends."""
    ahead = 0
    while ahead < MAX_AHEAD and (line := lines.peek(ahead)) is not None and not line.startswith(STOPS):
        if line[:1] in {b"+", b"-"}:
            return True
        ahead += 1
    return ahead > 0 and (lines.peek(-1) or b"")[:1] in {b"+", b"-", b" "}


def _body(lines: Lines) -> tuple[Line, ...]:
    """Return the lines of a hunk. Blank lines at its end do not belong to it."""
    body: list[Line] = []
    blank = 0
    while (line := lines.peek()) is not None and (line[:1] in SIGNS or _is_unsigned(lines)):
        blank = 0 if line else blank + 1
        # A line without a sign is context that has lost its space.
        signed = line[:1] in SIGNS
        body.append(Line(SIGNS.get(line[:1], " "), line[signed:] + b"\n", lines.number))
        lines.take()
    return tuple(body[: len(body) - blank])
