"""git's bytes as results tell them."""

import os

from tools.workspace.confinement.paths import Parts, joined

ELLIPSIS = "…"


def line(value: bytes, most_chars: int) -> str:
    """One line, such as a name: printable, and cut; what is not shown as it is stands as an escape."""
    text = value[: 4 * most_chars].decode("utf-8", "replace")
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return cut(plain, most_chars)


def block(value: bytes, most_chars: int) -> str:
    """Several lines, cut."""
    return cut(value.decode("utf-8", "replace"), most_chars)


def cut(text: str, most_chars: int) -> str:
    """The text, or of a long one its start with `…` for the rest."""
    return text if len(text) <= most_chars else text[:most_chars] + ELLIPSIS


def parts_of(path: bytes, root: Parts) -> Parts:
    """The names beneath the workspace of a path that git gives beneath its repository."""
    return (*root, *os.fsdecode(path).split("/"))


def path_of(path: bytes, root: Parts) -> str:
    """The path beneath the workspace, as its own tools tell it; a folder keeps the slash at its end."""
    return joined(parts_of(path, root))
