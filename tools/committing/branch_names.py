"""Names of branches. Sources: git-check-ref-format(1), gitrepository-layout(5)."""

import os
import re
from typing import Final

from tools.base import ToolError
from tools.git.repository import GIT, repository_of
from tools.workspace import Workspace
from tools.workspace.confinement.paths import shown

MAX_CHARS: Final = 200
MAX_HEAD_BYTES: Final = 4_096
# HEAD may be a link, and must not be waited for.
HEAD: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BRANCHES: Final = "refs/heads/"
# Stricter than git: a name is never an option, a pattern, a revision with a suffix, or a hash.
NAME: Final = re.compile(r"[\w][\w.+#=,-]*(?:/[\w][\w.+#=,-]*)*")
NOT_A_NAME: Final = re.compile(r"HEAD|[0-9a-f]{40}|[0-9a-f]{64}|refs/.*|.*(?:\.\.|\.(?:/|$)|\.lock(?:/|$)).*")


def check_branch(name: str) -> str:
    """Return the name of a branch if it is one. Raises `ToolError` (`invalid_params`)."""
    short = len(name.encode("utf-8", "replace")) <= MAX_CHARS
    if not short or NAME.fullmatch(name) is None or NOT_A_NAME.fullmatch(name):
        raise ToolError(
            f"{shown(name)} is not the name of a branch: use letters, digits and - _ . + # = , with / between parts, "
            f"at most {MAX_CHARS} bytes, such as 'fix/readme'.",
            code="invalid_params",
        )
    return name


def current_branch(workspace: Workspace, path: str) -> tuple[str, ...]:
    """Return the current branch of a path's repository as rules test it, read without git; nothing if there is none."""
    try:
        with repository_of(workspace, path) as repository:
            ref = _head(repository.folder.fileno())
    except (ToolError, OSError):
        return ()
    return (ref.removeprefix(BRANCHES),) if ref.startswith(BRANCHES) else ()


def _head(folder: int) -> str:
    name = f"{GIT}/HEAD"
    try:
        # An old form of HEAD is a link to the branch.
        return os.readlink(name, dir_fd=folder)
    except OSError:
        handle = os.open(name, HEAD, dir_fd=folder)
    try:
        text = os.read(handle, MAX_HEAD_BYTES).decode(errors="replace")
    finally:
        os.close(handle)
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else ""
