"""git's bytes as results tell them."""

import os

from tools.workspace.confinement.paths import Parts, joined

ELLIPSIS = "…"


def line(value: bytes, max_chars: int) -> str:
    """One line, such as a name: printable, and cut; what is not shown as it is stands as an escape."""
    text = value[: 4 * max_chars].decode("utf-8", "replace")
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return cut(plain, max_chars)


def block(value: bytes, max_chars: int) -> str:
    """Several lines, cut."""
    return cut(value.decode("utf-8", "replace"), max_chars)


def cut(text: str, max_chars: int) -> str:
    """The text, or of a long one its start with `…` for the rest."""
    return text if len(text) <= max_chars else text[:max_chars] + ELLIPSIS


def parts_of(path: bytes, root: Parts) -> Parts:
    """The names beneath the workspace of a path that git gives beneath its repository."""
    return (*root, *os.fsdecode(path).split("/"))


def path_of(path: bytes, root: Parts) -> str:
    """The path beneath the workspace, as its own tools tell it; a folder keeps the slash at its end."""
    return joined(parts_of(path, root))
