"""Names of branches. Source: git-check-ref-format(1)."""

import re
from typing import Final

from tools.base import ToolError
from tools.workspace.confinement.paths import shown

MAX_CHARS: Final = 200
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
