"""Unified diffs, as `diff -u`, `git diff` and `git format-patch` write them."""

import msgspec

from tools.patching.formats.headers import parse_git_header, parse_plain_header, refuse_binary
from tools.patching.formats.hunks import parse_hunk
from tools.patching.formats.lines import Lines
from tools.patching.limits import Allowance
from tools.patching.messages import expected, refusal
from tools.patching.patch import Hunk, Section

OTHER_FORMATS = (
    b"*** Begin Patch",
    b"*** Add File:",
    b"*** Delete File:",
    b"*** Update File:",
)
COMBINED = (b"diff --cc ", b"diff --combined ", b"@@@ ")


def parse_unified(lines: Lines, files: Allowance, hunks: Allowance) -> tuple[Section, ...]:
    """Return all sections of a unified diff; none if it has no file header. Raises `ToolError`."""
    sections: list[Section] = []
    while lines.peek() is not None:
        if lines.starts(b"diff --git "):
            header = parse_git_header(lines)
        elif lines.starts(b"--- ") and lines.starts(b"+++ ", 1):
            header = parse_plain_header(lines)
            if not lines.starts(b"@@"):
                raise expected(lines.number, "'@@ -line,count +line,count @@'", lines.peek())
        else:
            # Other text is skipped, as POSIX's patch and git do: it is a mail, or a commit's message.
            _refuse_lost(lines)
            lines.take()
            continue
        files.spend()
        sections.append(_section(header, lines, hunks))
    return tuple(sections)


def _section(header: Section, lines: Lines, allowed: Allowance) -> Section:
    hunks: list[Hunk] = []
    while lines.starts(b"@@"):
        allowed.spend()
        hunks.append(parse_hunk(lines))
    if not hunks and header.action == "update" and header.executable is None:
        raise expected(lines.number, "'@@ -line,count +line,count @@'", lines.peek())
    return msgspec.structs.replace(header, hunks=tuple(hunks))


def starts_diff(lines: Lines, ahead: int) -> bool:
    """Return whether a diff starts so many lines further."""
    return lines.starts(b"diff --git ", ahead) or (lines.starts(b"--- ", ahead) and lines.starts(b"+++ ", ahead + 1))


def _refuse_lost(lines: Lines) -> None:
    """Raise `ToolError` if the next line would be a change at another place."""
    refuse_binary(lines)
    if any(map(lines.starts, COMBINED)):
        raise refusal(lines.number, "a combined diff of a merge is not supported: give the diff to one parent.")
    if any(map(lines.starts, OTHER_FORMATS)):
        raise refusal(lines.number, "a patch in this format starts with '*** Begin Patch' on its first line.")
    if lines.starts(b"@@"):
        raise expected(lines.number, "'--- a/<file>' and '+++ b/<file>' before the first hunk", lines.peek())
