"""Checks of the objects that a pull request offers, and of their difference. All were read by their true names."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tools.base import ToolError
from tools.forges.private_repository import Object
from tools.workspace import SecretNames
from tools.workspace.confinement.paths import shown

NO_OBJECT: Final = "0" * 40
SHA_BYTES: Final = 20
PARENT: Final = re.compile(rb"^parent ([0-9a-f]{40})$", re.MULTILINE)
SECTION: Final = re.compile(rb"^(?=diff --git )", re.MULTILINE)
HUNK: Final = re.compile(rb"^@@ ", re.MULTILINE)
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")

Secrets = Callable[[str], set[bytes]]
"""Returns the secrets in a text."""


def check_secrets(
    offered: Sequence[Object], before: Sequence[Object], secrets: Secrets, secret_names: SecretNames
) -> None:
    """Check that the objects have no secret that the host does not have yet. Raises `ToolError` (`not_allowed`).

    `before` are the objects that it replaces.
    """
    new = {item.sha for item in offered}
    known = {secret for item in before for secret in secrets(_text(item))}
    for item in offered:
        if item.kind == "tree":
            for name, sha in _entries(item.content):
                if sha in new and secret_names.cover((name,)):
                    raise ToolError(
                        f"A commit has {shown(name)}, which is the name of a secret: such a file is never sent. Make "
                        "a branch without that commit.",
                        code="not_allowed",
                    )
        if secrets(_text(item)) - known:
            raise ToolError(
                f"A {item.kind} of the branch, {item.sha[:12]}, has a secret: a key, a token or a password. Make a "
                "branch whose commits never had it.",
                code="not_allowed",
            )


def graph(offered: Sequence[Object], head: str, base: str) -> tuple[int, frozenset[str]]:
    """Return the number of commits, and all commits that the head is known to contain. Raises `ToolError`."""
    parents = {
        item.sha: [sha.decode() for sha in PARENT.findall(item.content.partition(b"\n\n")[0])]
        for item in offered
        if item.kind == "commit"
    }
    found, pending = set(), [head]
    while pending:
        sha = pending.pop()
        if sha not in found:
            found.add(sha)
            pending += parents.get(sha, [])
    if base not in found or head not in parents:
        raise ToolError(
            "The branch does not follow from the commit that it has in common with its base.", code="failed"
        )
    return len(found & parents.keys()), frozenset(found)


def shown_diff(diff: bytes) -> str:
    """Return a difference as text. The content of a binary file is replaced by its size."""
    sections = []
    for section in filter(None, SECTION.split(diff)):
        content = HUNK.search(section)
        if b"\0" in section and content:
            size = len(section) - content.start()
            section = section[: content.start()] + b"Binary content: %d bytes of difference\n" % size  # noqa: PLW2901
        sections.append(section.decode("utf-8", "backslashreplace"))
    return "".join(sections)


def _text(item: Object) -> str:
    if item.kind == "tree":
        return "\n".join(name for name, _ in _entries(item.content))
    encoding = "utf-16" if item.content.startswith(UTF16) else "utf-8"
    return item.content.decode(encoding, "replace")


def _entries(tree: bytes) -> Iterator[tuple[str, str]]:
    """Yield the names in a tree, and their objects."""
    position = 0
    while position < len(tree):
        end = tree.index(b"\0", position)
        name = tree[position:end].partition(b" ")[2]
        position = end + 1 + SHA_BYTES
        yield name.decode(errors="surrogateescape"), tree[end + 1 : position].hex()
