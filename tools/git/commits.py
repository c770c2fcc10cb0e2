"""Parsing of commits. Source: git-log(1), "Pretty formats"."""

from collections.abc import Sequence

import msgspec

from tools.git.limits import Limits
from tools.git.texts import block, line

FIELDS = ("%H", "%P", "%an", "%ae", "%aI", "%s", "%b")
# A NUL ends each field, since no field can contain one. With `-z`, another NUL ends each commit.
FORMAT = "--format=tformat:" + "".join(f"{field}%x00" for field in FIELDS)
OPTIONS = (FORMAT, "-z", "--no-color", "--no-decorate", "--no-notes", "--no-show-signature", "--encoding=UTF-8")
FIELDS_AND_END = len(FIELDS) + 1
FIELDS_BUT_BODY = len(FIELDS) - 1


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit. `date` is the author date in ISO 8601, with the author's offset from UTC."""

    sha: str
    parents: list[str]
    author: str
    email: str
    date: str
    subject: str
    body: str


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Commits, newest first. `truncated` is true if there are more."""

    commits: list[Commit]
    truncated: bool


def parse_log(output: bytes, max_commits: int, limits: Limits, *, complete: bool) -> Log:
    """Return the commits in git's output. The last one may have a body that is cut off."""
    fields = output.split(b"\0")
    commits = [
        parse_commit(fields[start : start + FIELDS_AND_END], limits)
        for start in range(0, len(fields), FIELDS_AND_END)
        if len(fields) - start > FIELDS_BUT_BODY
    ]
    return Log(commits=commits[:max_commits], truncated=not complete or len(commits) > max_commits)


def parse_commit(fields: Sequence[bytes], limits: Limits) -> Commit:
    """Return the commit with these fields. The body may be missing or cut off."""
    sha, parents, author, email, date, subject, *rest = fields
    return Commit(
        sha=sha.decode(),
        parents=parents.decode().split()[: limits.max_parents],
        author=line(author, limits.max_line_chars),
        email=line(email, limits.max_line_chars),
        date=line(date, limits.max_line_chars),
        subject=line(subject, limits.max_line_chars),
        body=block(rest[0], limits.max_body_chars).removesuffix("\n") if rest else "",
    )
