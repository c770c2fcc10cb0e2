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
from tools.patching.formats.names import path_of
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
    if _next_stripped(lines) is not None:
        raise expected(lines.number, f"nothing after '{END.decode()}'", lines.peek())
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
    path = path_of(match[2].strip(), number)
    if match[1] == b"Delete":
        return Section(number=number, format="envelope", action="delete", path=path)
    if match[1] == b"Add":
        # The content of a new file is one hunk.
        first = lines.number
        body: list[Line] = []
        while lines.starts(b"+"):
            body.append(Line("+", lines.take()[1:] + b"\n", first + len(body)))
        hunks = (Hunk(number=first, lines=tuple(body)),) if body else ()
        return Section(number=number, format="envelope", action="add", path=path, hunks=hunks)
    return _update(lines, path, number, allowed)


def _update(lines: Lines, path: str, number: int, allowed: Allowance) -> Section:
    target: str | None = None
    if lines.starts(MOVE):
        move_number = lines.number
        target = path_of(lines.take().removeprefix(MOVE).strip(), move_number)
    hunks: list[Hunk] = []
    while lines.peek() is not None and not lines.starts(b"*** "):
        allowed.spend()
        hunks.append(_hunk(lines))
    if not hunks and target is None:
        raise expected(lines.number, "'@@', ' ', '-', '+' or '*** Move to: <path>'", lines.peek())
    action: Action = "update" if target is None else "move"
    source = None if target is None else path
    return Section(
        number=number, format="envelope", action=action, path=target or path, source=source, hunks=tuple(hunks)
    )


def _hunk(lines: Lines) -> Hunk:
    number = lines.number
    anchors: list[bytes] = []
    while lines.starts(b"@@"):
        line = lines.take()
        text = line.removeprefix(b"@@").strip()
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


def _body(lines: Lines) -> tuple[Line, ...]:
    """Return the lines of a hunk. Blank lines at its end do not belong to it."""
    body: list[Line] = []
    blank = 0
    while (line := lines.peek()) is not None and line[:1] in SIGNS:
        blank = 0 if line else blank + 1
        body.append(Line(SIGNS[line[:1]], line[1:] + b"\n", lines.number))
        lines.take()
    return tuple(body[: len(body) - blank])
