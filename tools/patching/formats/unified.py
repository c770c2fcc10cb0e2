"""Unified diffs, as `diff -u`, `git diff` and `git format-patch` write them.

Text before and after a file's part is passed over, as POSIX's patch and git do: it is a mail, or a commit's message.
"""

import msgspec

from tools.patching.formats.headers import parse_git_header, parse_plain_header, refuse_binary
from tools.patching.formats.hunks import parse_hunk
from tools.patching.formats.lines import Lines
from tools.patching.limits import Allowance
from tools.patching.patch import Hunk, Section
from tools.patching.telling import expected, refusal

OTHER_FORMATS = (
    b"*** Begin Patch",
    b"*** Add File:",
    b"*** Delete File:",
    b"*** Update File:",
)
COMBINED = (b"diff --cc ", b"diff --combined ", b"@@@ ")


def parse_unified(lines: Lines, files: Allowance, hunks: Allowance) -> tuple[Section, ...]:
    """All sections of a unified diff, none where there is no file header. Raises `ToolError`."""
    sections: list[Section] = []
    while lines.peek() is not None:
        header = _header(lines)
        if header is None:
            _refuse_lost(lines)
            lines.take()
            continue
        files.spend()
        sections.append(_section(header, lines, hunks))
    return tuple(sections)


def _header(lines: Lines) -> Section | None:
    """The header of a file, where one begins."""
    if lines.starts(b"diff --git "):
        return parse_git_header(lines)
    if lines.starts(b"--- ") and lines.starts(b"+++ ", 1):
        header = parse_plain_header(lines)
        if not lines.starts(b"@@ -"):
            raise expected(lines.number, "'@@ -line,count +line,count @@'", lines.peek())
        return header
    return None


def _section(header: Section, lines: Lines, allowed: Allowance) -> Section:
    hunks: list[Hunk] = []
    while lines.starts(b"@@"):
        allowed.spend()
        hunks.append(parse_hunk(lines))
    if not hunks and header.action == "update" and header.executable is None:
        raise expected(lines.number, "'@@ -line,count +line,count @@'", lines.peek())
    return msgspec.structs.replace(header, hunks=tuple(hunks))


def _refuse_lost(lines: Lines) -> None:
    """Raises `ToolError` for what would be a change, if it were in its place."""
    refuse_binary(lines)
    if any(map(lines.starts, COMBINED)):
        raise refusal(lines.number, "a combined diff of a merge is not applied: give the diff to one parent.")
    if any(map(lines.starts, OTHER_FORMATS)):
        raise refusal(lines.number, "a patch in this format starts with '*** Begin Patch' on its first line.")
    if lines.starts(b"@@"):
        raise expected(lines.number, "'--- a/<file>' and '+++ b/<file>' before the first hunk", lines.peek())
