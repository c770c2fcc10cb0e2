"""Commits, as a log tells them. Source: git-log(1), "Pretty formats"."""

from collections.abc import Sequence

import msgspec

from tools.git.limits import Limits
from tools.git.texts import block, line

FIELDS = ("%H", "%P", "%an", "%ae", "%aI", "%s", "%b")
FORMAT = "--format=tformat:" + "".join(f"{field}%x00" for field in FIELDS)
"""Every field is ended by a NUL, which none can have in it, and every commit by one more."""

OPTIONS = (FORMAT, "-z", "--no-color", "--no-decorate", "--no-notes", "--no-show-signature", "--encoding=UTF-8")
FIELDS_AND_END = len(FIELDS) + 1
FIELDS_BUT_BODY = len(FIELDS) - 1


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit. `date` is the author's, in ISO 8601 with the author's own offset from UTC."""

    sha: str
    parents: list[str]
    author: str
    email: str
    date: str
    subject: str
    body: str


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Commits, the newest first; `truncated` where there are more."""

    commits: list[Commit]
    truncated: bool


def parse_log(output: bytes, most: int, limits: Limits, *, complete: bool) -> Log:
    """The commits that git's output tells. One that was cut off within its body is told as far as it goes."""
    fields = output.split(b"\0")
    commits = [
        parse_commit(fields[start : start + FIELDS_AND_END], limits)
        for start in range(0, len(fields), FIELDS_AND_END)
        if len(fields) - start > FIELDS_BUT_BODY
    ]
    return Log(commits=commits[:most], truncated=not complete or len(commits) > most)


def parse_commit(fields: Sequence[bytes], limits: Limits) -> Commit:
    """The commit of the fields, of which the body may be missing or cut off."""
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
