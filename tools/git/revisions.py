"""The names of commits and ranges that the git tools accept.

Source: gitrevisions(7). Not accepted are searches through all history (`:/text`, `^{/text}`), paths (`commit:path`) and
shorthands for several commits (`^@`, `^!`).
"""

import re

import msgspec

from tools.base import ToolError
from tools.workspace.confinement.paths import shown

MAX_CHARS = 250
NAME = r"[\w@#][\w./@#%+=,!&$-]*"
SUFFIX = r"(?:@\{[\w .:/+-]{1,60}\}|~[0-9]{0,9}|\^[0-9]{0,9}|\^\{commit\}|\^\{\})"
REVISION = re.compile(rf"(?:{NAME}{SUFFIX}*|@\{{[\w .:/+-]{{1,60}}\}}{SUFFIX}*)")
DOTS = re.compile(r"\.{2,}")
VALID = (
    "give a branch, a tag, a commit's hash, or one of these with ~2, ^ or @{upstream} behind it, such as 'main' or "
    "'HEAD~1'"
)
RANGE = "'a..b' or 'a...b'"


class Revisions(msgspec.Struct, frozen=True, kw_only=True):
    """A revision, or the two ends of a range with the dots between them."""

    text: str
    ends: tuple[str, ...]
    dots: str

    @property
    def argument(self) -> str:
        """The argument of git, after `--end-of-options`."""
        # Without `^{commit}`, the hash of a blob would show any file that was ever committed.
        return self.dots.join(f"{end}^{{commit}}" for end in self.ends)


def one_revision(text: str) -> Revisions:
    """Parse a revision. Raises `ToolError` (`invalid_params`)."""
    if not _is_revision(text):
        raise ToolError(f"{shown(text)} is not a revision: {VALID}.", code="invalid_params")
    return Revisions(text=text, ends=(text,), dots="")


def revisions(text: str) -> Revisions:
    """Parse a revision or a range. An end that is left out is HEAD. Raises `ToolError` (`invalid_params`)."""
    dots = DOTS.findall(text)
    if not dots:
        return one_revision(text)
    ends = tuple(end or "HEAD" for end in DOTS.split(text))
    if len(ends) != 2 or len(dots[0]) > 3 or not all(map(_is_revision, ends)):
        raise ToolError(f"{shown(text)} is not a revision or a range: {VALID}, or {RANGE}.", code="invalid_params")
    return Revisions(text=text, ends=ends, dots=dots[0])


def _is_revision(text: str) -> bool:
    return len(text) <= MAX_CHARS and REVISION.fullmatch(text) is not None and ".." not in text
