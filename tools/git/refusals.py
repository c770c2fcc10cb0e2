"""Errors of git as errors of a tool."""

import re

from tools.base import ToolError, ToolErrorCode
from tools.git.repository import Repository
from tools.git.revisions import Revisions
from tools.git.running import GitResult
from tools.workspace.confinement.paths import shown

UNKNOWN_REVISION = re.compile(
    rb"bad revision|unknown revision|ambiguous argument|invalid revision range|invalid symmetric difference"
    rb"|no upstream configured|upstream branch '.*' not stored|no such branch|does not point to a branch"
    rb"|log for .* (?:only has|is empty)|no merge base|bad object|not a valid object name",
    re.IGNORECASE,
)
NO_COMMIT_YET = re.compile(rb"does not have any commits yet")
REASONS: tuple[tuple[re.Pattern[bytes], ToolErrorCode, str], ...] = (
    (
        re.compile(rb"(?:clean|smudge|external) filter"),
        "not_allowed",
        "is a repository whose settings require a program to convert its files, and no such program runs here",
    ),
    (
        re.compile(rb"not a git repository|invalid gitfile|no path in gitfile", re.IGNORECASE),
        "not_found",
        "has a `.git`, but no repository: it is damaged, or names a repository outside the workspace",
    ),
    (
        re.compile(rb"unknown repository extension|expected git repo version|unknown value for", re.IGNORECASE),
        "not_allowed",
        "is a repository of a format that the git here does not know",
    ),
    (
        re.compile(rb"permission denied|unable to access", re.IGNORECASE),
        "not_allowed",
        "is a repository that needs files which may not be read, such as some outside the workspace",
    ),
    (
        re.compile(rb"bad config|bad (?:numeric|boolean)", re.IGNORECASE),
        "failed",
        "is a repository with settings that git cannot read, or that lead outside the workspace",
    ),
)
UNFORESEEN = "is a repository that git could not read: it is damaged, or needs files that git may not reach here"


def check(result: GitResult, repository: Repository, requested: Revisions | None = None) -> None:
    """Check that git succeeded. Raises `ToolError` if it ended with an error."""
    if not result.complete or result.exit_code == 0:
        return
    if requested and UNKNOWN_REVISION.search(result.errors):
        raise ToolError(
            f"{shown(requested.text)} names no commit in the repository {repository.shown}: see `git.log` and "
            "`git.status` for valid names.",
            code="not_found",
        )
    # git's own words are never shown: it quotes lines that it cannot parse, and a repository can include a secret.
    for pattern, code, words in REASONS:
        if pattern.search(result.errors):
            raise ToolError(f"{repository.shown} {words}.", code=code)
    raise ToolError(f"{repository.shown} {UNFORESEEN}.", code="failed")


def has_no_commit_yet(result: GitResult) -> bool:
    """Return whether git failed because the branch has no commit yet."""
    return bool(result.exit_code) and NO_COMMIT_YET.search(result.errors) is not None
