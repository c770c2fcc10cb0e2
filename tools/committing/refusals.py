"""Errors of a git that writes, as errors of a tool."""

import re
from typing import Final

from tools.base import ToolError, ToolErrorCode
from tools.git import refusals
from tools.git.repository import Repository
from tools.git.running import GitResult

REASONS: Final[tuple[tuple[re.Pattern[bytes], ToolErrorCode, str], ...]] = (
    (
        re.compile(rb"\.lock': File exists"),
        "conflict",
        "is locked by another git process: try again when that has ended",
    ),
    (
        re.compile(rb"would be overwritten|local changes to the following|would lose untracked|untracked working tree"),
        "conflict",
        "has files that this would overwrite: commit them, or move them, and try again",
    ),
    (
        re.compile(
            rb"unmerged|cannot switch branch while|resolve your current index|in the middle of a", re.IGNORECASE
        ),
        "conflict",
        "has a merge, a rebase or conflicts that are not finished: finish them first",
    ),
    (
        re.compile(rb"already (?:exists|checked out|used by worktree)|cannot lock ref", re.IGNORECASE),
        "conflict",
        "has that branch already, a branch whose name is the beginning of that name, or has it in another worktree",
    ),
    (
        re.compile(rb"(?:clean|smudge|external) filter"),
        "not_allowed",
        "has files that a program must convert, as Git LFS does, and no such program runs here",
    ),
    (
        re.compile(rb"beyond a symbolic link|is in submodule|invalid path|did not match any files"),
        "not_allowed",
        "cannot take one of the paths: it lies behind a link, in a submodule, or has a name that git refuses",
    ),
    (
        re.compile(rb"file too large", re.IGNORECASE),
        "too_large",
        "would get a larger file than the limits allow",
    ),
    (
        re.compile(rb"no space left|disk quota", re.IGNORECASE),
        "failed",
        "could not be written: the disk is full",
    ),
    (
        re.compile(rb"unable to read|missing blob|invalid object|bad tree|loose object|corrupt", re.IGNORECASE),
        "failed",
        "is damaged, or needs objects outside the workspace",
    ),
    (
        re.compile(rb"permission denied|operation not permitted|read-only file system", re.IGNORECASE),
        "not_allowed",
        "needs files or modes that git may not change here, such as some outside the workspace",
    ),
)


def check(result: GitResult, repository: Repository) -> None:
    """Check that git succeeded. Raises `ToolError` if it ended with an error, or wrote too much."""
    if not result.complete:
        raise ToolError(f"{repository.shown} has too much for one call: ask for less at a time.", code="too_large")
    if result.exit_code == 0:
        return
    for pattern, code, words in REASONS:
        if pattern.search(result.errors):
            raise ToolError(f"{repository.shown} {words}.", code=code)
    refusals.check(result, repository)
