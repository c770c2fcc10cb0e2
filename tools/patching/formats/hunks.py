"""The hunks of a unified diff.

A hunk has the length of its header's counts, if its lines also end there. Otherwise the counts are wrong, and the hunk
ends before the first line that cannot belong to it. Context lines may have lost their space, if the counts fit then.
A header may have no numbers: what it names instead is a line before the hunk.
"""

import re

import msgspec

from tools.patching.formats.lines import Lines
from tools.patching.messages import expected, quoted, refusal
from tools.patching.patch import SIGNS, Hunk, Line, Position

HEADER = re.compile(rb"@@+ ?-(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))?(?: @@+|$)")
NUMBERS = re.compile(rb"@@ *[-+]+\d")
"""The start of a header that has numbers, in whatever form."""
# The words after it are in the language of the user of diff.
NO_NEWLINE = b"\\ "
"""The start of the note that the line before it has no newline."""
SIGNATURES = (b"-- ", b"--")
STOPS = (b"@@", b"diff --git ", b"```", b"*** ")
"""Starts of lines that end a hunk."""


class Range(msgspec.Struct, frozen=True, gc=False):
    """One side of a header."""

    start: int
    count: int

    def before(self, lines: int) -> int | None:
        """Return the number of lines before a hunk with so many lines; None if its header contradicts that."""
        # The start of an empty range is the line before it (POSIX, "Diff -u or -U Output Format").
        if not lines:
            return None if self.count else self.start
        return self.start - 1 if self.start else None


def parse_hunk(lines: Lines) -> Hunk:
    """Parse the hunk that begins at the next line. Raises `ToolError`."""
    number = lines.number
    header = lines.take()
    match = HEADER.match(header)
    if match is None:
        if NUMBERS.match(header) or header.startswith(b"@@@"):
            raise expected(number, "'@@ -line,count +line,count @@'", header)
        return Hunk(number=number, lines=_lines(lines, _length(lines), number), anchors=_heading(header[2:]))
    old = Range(int(match[1]), int(match[2] or 1))
    new = Range(int(match[3]), int(match[4] or 1))
    length = _counted_length(lines, old.count, new.count)
    if length is None:
        length = _counted_length(lines, old.count, new.count, unsigned=True)
    body = _lines(lines, _length(lines) if length is None else length, number)
    before_old = old.before(sum(line.sign != "+" for line in body))
    before_new = new.before(sum(line.sign != "-" for line in body))
    is_placed = before_old is not None and before_new is not None
    position = Position(old=before_old or 0, new=before_new or 0) if is_placed else None
    return Hunk(number=number, lines=body, position=position, numbered=True, headings=_heading(header[match.end() :]))


def _heading(text: bytes) -> tuple[bytes, ...]:
    """Return the line that a header names; none if that is only an ellipsis."""
    words = text.strip().removesuffix(b"@@").strip(b" \t.\r")
    return (words,) if words else ()


def _length(lines: Lines) -> int:
    """Return the number of lines up to the first that cannot belong to a hunk."""
    length = 0
    while lines.peek(length) is not None and _is_body(lines, length):
        length += 1
    # Empty lines at the end separate this hunk from what follows.
    while length and not lines.peek(length - 1):
        length -= 1
    return length


def _lines(lines: Lines, length: int, number: int) -> tuple[Line, ...]:
    body = _body(lines, length)
    if all(line.sign == " " for line in body):
        raise refusal(number, f"the hunk has no line with '+' or '-': it ends before line {lines.number}.")
    return body


def starts_file(lines: Lines, ahead: int = 0) -> bool:
    """Return whether the `---` and `+++` lines of a file and its first hunk come next."""
    return lines.starts(b"--- ", ahead) and lines.starts(b"+++ ", ahead + 1) and lines.starts(b"@@", ahead + 2)


def _counted_length(lines: Lines, old: int, new: int, *, unsigned: bool = False) -> int | None:
    """Return the number of lines that the counts give; None if they do not fit.

    With `unsigned`, lines without a sign count as context.
    """
    length = 0
    while old or new:
        line = lines.peek(length)
        if line is None:
            return None
        length += 1
        if line.startswith(NO_NEWLINE):
            continue
        if line[:1] not in SIGNS and (not unsigned or line.startswith(STOPS)):
            return None
        sign = SIGNS.get(line[:1], " ")
        old -= sign != "+"
        new -= sign != "-"
        if old < 0 or new < 0:
            return None
    if lines.starts(NO_NEWLINE, length):
        length += 1
    return None if lines.peek(length) and _is_body(lines, length) else length


def _is_body(lines: Lines, ahead: int) -> bool:
    line = lines.peek(ahead) or b""
    if line in SIGNATURES:
        # `git format-patch` ends each mail with `-- ` and its version. It may also be a removed line, `-` or `- `.
        after = lines.peek(ahead + 1)
        if after is None or (after[:1] not in SIGNS and not after.startswith(b"@@")):
            return False
    known = line[:1] in SIGNS or line.startswith(NO_NEWLINE)
    return known and not starts_file(lines, ahead)


def _body(lines: Lines, length: int) -> tuple[Line, ...]:
    body: list[Line] = []
    for _ in range(length):
        number = lines.number
        text = lines.take()
        if not text.startswith(NO_NEWLINE):
            signed = text[:1] in SIGNS
            body.append(Line(SIGNS.get(text[:1], " "), text[signed:] + b"\n", number))
        elif body and body[-1].text.endswith(b"\n"):
            last = body.pop()
            body.append(Line(last.sign, last.text[:-1], last.number))
        else:
            raise refusal(number, f"{quoted(text)} belongs after a line of the hunk, once.")
    for sign in "-+":
        side = [line for line in body if line.sign in {" ", sign}]
        for line in side[:-1]:
            if not line.text.endswith(b"\n"):
                raise refusal(
                    line.number, f"{quoted(line.text)} has no newline, which only a file's last line can lack."
                )
    return tuple(body)
