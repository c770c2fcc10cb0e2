"""The operands of git that name objects: each is held to a commit.

By its own name, git shows any blob or tree that was ever added, and no name of a file is checked. Such names are a
hash, `anything-g` with a hash, and a tag of a file. Source: gitrevisions(7).
"""

import re
from collections.abc import Callable, Sequence

from tools.base import ToolError
from tools.commands.words import shown

COMMIT = "^{commit}"
# git splits a range at its first two dots, wherever they stand.
RANGE = re.compile(r"(\.{2,3})")
# These ask for parents, and must come last.
PARENTS = re.compile(r"\^(?:@|!|-[0-9]*)$")
# git resolves these to a commit, or not at all.
ALREADY = re.compile(r"\^?(?:HEAD|@|.+[~^][0-9]*)")
PATHSPEC = re.compile(r":[!^(]")
WILDCARDS = frozenset("*?[")


def split_operands(operands: Sequence[str], is_path: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """Return the revisions and the paths among operands without a `--`, as git would divide them."""
    for index, word in enumerate(operands):
        wild = not WILDCARDS.isdisjoint(word) and "{" not in word and not word.startswith(":/")
        if PATHSPEC.match(word) or wild or is_path(word):
            return list(operands[:index]), list(operands[index:])
    return list(operands), []


def held_to_commits(word: str) -> str:
    """Return the revision or range with `^{commit}` on each end. Raises `ToolError` (`not_allowed`)."""
    if ":" in word and ".." in word.partition(":")[2].split("/"):
        # git would read the dots of such a path as those of a range, too.
        raise ToolError(
            f"{shown(word)} has '..' in the path of a revision: give the path from the repository's folder, such as "
            "'HEAD:docs/a.md'.",
            code="not_allowed",
        )
    first, *rest = RANGE.split(word, maxsplit=1)
    return "".join((_held(first), *rest[:1], *map(_held, rest[1:])))


def _held(end: str) -> str:
    """Return one end of a range, or a whole revision, held to a commit."""
    # An empty end is HEAD. `:path` is a file of the index, whose name is checked; `:/text` finds a commit.
    if not end or end.startswith(":"):
        return end
    colon = _colon(end)
    revision, path = end[:colon], end[colon:]
    if ALREADY.fullmatch(revision):
        return end
    parents = PARENTS.search(revision)
    start = parents.start() if parents else len(revision)
    return f"{revision[:start]}{COMMIT}{revision[start:]}{path}"


def _colon(end: str) -> int:
    """Return the index of the colon before a path. One in braces is part of a date or a search."""
    depth = 0
    for index, character in enumerate(end):
        depth += (character == "{") - (character == "}")
        if character == ":" and depth == 0:
            return index
    return len(end)
