"""The bytes of git as texts and paths for results."""

import os

from tools.workspace.confinement.paths import Parts, joined

ELLIPSIS = "…"


def line(value: bytes, max_chars: int) -> str:
    """Return one line, such as a name: printable, with escapes for other characters, and cut."""
    text = value[: 4 * max_chars].decode("utf-8", "replace")
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return cut(plain, max_chars)


def block(value: bytes, max_chars: int) -> str:
    """Return several lines, cut."""
    return cut(value.decode("utf-8", "replace"), max_chars)


def cut(text: str, max_chars: int) -> str:
    """Return the text, or the start of a long one and `…`."""
    return text if len(text) <= max_chars else text[:max_chars] + ELLIPSIS


def parts_of(path: bytes, root: Parts) -> Parts:
    """Return the names in the workspace of a path in the repository."""
    return (*root, *os.fsdecode(path).split("/"))


def path_of(path: bytes, root: Parts) -> str:
    """Return the path in the workspace as the file tools show it. A folder keeps the slash at its end."""
    return joined(parts_of(path, root))
