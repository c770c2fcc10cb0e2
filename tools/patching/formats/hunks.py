"""The hunks of a unified diff.

A hunk is as long as its header's counts say, if that is also where its lines end. Else the counts are wrong, and it
goes on until a line that can only be something else.
"""

import re

import msgspec

from tools.patching.formats.lines import Lines
from tools.patching.patch import SIGNS, Hunk, Line, Position
from tools.patching.telling import expected, quoted, refusal

HEADER = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
NO_NEWLINE = b"\\ "
"""How a note begins that the line before it has no newline; the words after it are in the writer's language."""
SIGNATURES = (b"-- ", b"--")


class Range(msgspec.Struct, frozen=True, gc=False):
    """One side of a header, as it is written."""

    start: int
    count: int

    def before(self, lines: int) -> int | None:
        """How many lines come before a hunk that has so many; None where its header contradicts that.

        The start of an empty range is the line before it.
        """
        if not lines:
            return None if self.count else self.start
        return self.start - 1 if self.start else None


def parse_hunk(lines: Lines) -> Hunk:
    """The hunk that begins at the next line. Raises `ToolError`."""
    number = lines.number
    header = lines.take()
    match = HEADER.match(header)
    if match is None:
        raise expected(number, "'@@ -line,count +line,count @@'", header)
    old = Range(int(match[1]), int(match[2] or 1))
    new = Range(int(match[3]), int(match[4] or 1))
    length = _counted_length(lines, old.count, new.count)
    body = _body(lines, _length_until_boundary(lines) if length is None else length)
    if all(line.sign == " " for line in body):
        raise refusal(number, f"the hunk has no line with '+' or '-': it ends before line {lines.number}.")
    return Hunk(number=number, lines=body, position=_position(old, new, body))


def starts_file(lines: Lines, ahead: int = 0) -> bool:
    """Whether a file's `---` and `+++` lines come there, and its first hunk after them."""
    return lines.starts(b"--- ", ahead) and lines.starts(b"+++ ", ahead + 1) and lines.starts(b"@@ -", ahead + 2)


def _counted_length(lines: Lines, old: int, new: int) -> int | None:
    """The number of lines that the counts take; None where they do not fit."""
    length = 0
    while old or new:
        line = lines.peek(length)
        if line is None:
            return None
        length += 1
        if line.startswith(NO_NEWLINE):
            continue
        sign = SIGNS.get(line[:1])
        if sign is None:
            return None
        old -= sign != "+"
        new -= sign != "-"
        if old < 0 or new < 0:
            return None
    if lines.starts(NO_NEWLINE, length):
        length += 1
    return None if lines.peek(length) and _is_body(lines, length) else length


def _length_until_boundary(lines: Lines) -> int:
    """The number of lines up to one that is none of the hunk's; empty ones at the end are not."""
    length = 0
    while lines.peek(length) is not None and _is_body(lines, length):
        length += 1
    while length and not lines.peek(length - 1):
        length -= 1
    return length


def _is_body(lines: Lines, ahead: int) -> bool:
    line = lines.peek(ahead) or b""
    known = line[:1] in SIGNS or line.startswith(NO_NEWLINE)
    return known and not starts_file(lines, ahead) and not _is_signature(lines, ahead)


def _is_signature(lines: Lines, ahead: int) -> bool:
    """Whether a mail's signature starts there, as `git format-patch` ends each with its version."""
    if lines.peek(ahead) not in SIGNATURES:
        return False
    after = lines.peek(ahead + 1)
    return after is None or (after[:1] not in SIGNS and not after.startswith(b"@@"))


def _body(lines: Lines, length: int) -> tuple[Line, ...]:
    body: list[Line] = []
    for _ in range(length):
        number = lines.number
        text = lines.take()
        if not text.startswith(NO_NEWLINE):
            body.append(Line(SIGNS[text[:1]], text[1:] + b"\n", number))
        elif body and body[-1].text.endswith(b"\n"):
            last = body.pop()
            body.append(Line(last.sign, last.text[:-1], last.number))
        else:
            raise refusal(number, f"{quoted(text)} belongs after a line of the hunk, once.")
    for sign in "-+":
        _refuse_joined([line for line in body if line.sign in {" ", sign}])
    return tuple(body)


def _refuse_joined(side: list[Line]) -> None:
    """Raises `ToolError` for a line without an end that is not the last of its side."""
    for line in side[:-1]:
        if not line.text.endswith(b"\n"):
            raise refusal(line.number, f"{quoted(line.text)} has no newline, which only a file's last line can lack.")


def _position(old: Range, new: Range, body: tuple[Line, ...]) -> Position | None:
    before_old = old.before(sum(line.sign != "+" for line in body))
    before_new = new.before(sum(line.sign != "-" for line in body))
    if before_old is None or before_new is None:
        return None
    return Position(old=before_old, new=before_new)
