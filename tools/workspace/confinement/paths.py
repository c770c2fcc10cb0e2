"""A path as a caller writes it, and the names that it is made of."""

import os
from collections.abc import Iterable

from tools.base import ToolError

PATH_MAX = 4096
NAME_MAX = 255
SHOWN_CHARS = 120

Parts = tuple[str, ...]
"""The names of a path beneath the base: neither empty nor `.`; `()` is the base itself."""


def parse(text: str, roots: Iterable[str], max_depth: int) -> Parts:
    """The names in a path; `..` among them is kept, since what it means depends on the links before it.

    `roots` are the absolute paths of the base. Raises `ToolError` (`invalid_params`, `outside_workspace`).
    """
    _check_text(text)
    parts = tuple(part for part in _beneath(text, roots).split("/") if part not in {"", "."})
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > NAME_MAX:
        raise ToolError(
            f"A name in the path {shown(text)} is {longest} bytes long: at most {NAME_MAX} are possible.",
            code="invalid_params",
        )
    if len(parts) > max_depth:
        raise ToolError(
            f"The path {shown(text)} is {len(parts)} names deep: at most {max_depth} are allowed.",
            code="invalid_params",
        )
    return parts


def shown(text: str) -> str:
    """A path as a message may show it: quoted, printable, and short."""
    short = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short) + "'"


def joined(parts: Parts) -> str:
    """The path of the names, as results tell it; bytes that are not UTF-8 as `\\xff`."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace") or "."


def _check_text(text: str) -> None:
    if not text:
        raise ToolError(
            "The path is empty: give one relative to the workspace, such as 'docs/a.md'.", code="invalid_params"
        )
    if "\0" in text:
        raise ToolError(f"The path {shown(text)} holds a NUL, which no name can.", code="invalid_params")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ToolError(
            f"The path {shown(text)} holds a lone surrogate: give valid Unicode.", code="invalid_params"
        ) from error
    if size > PATH_MAX:
        raise ToolError(f"The path is {size} bytes long: at most {PATH_MAX} are possible.", code="invalid_params")


def _beneath(text: str, roots: Iterable[str]) -> str:
    """The path relative to the base."""
    if not text.startswith("/"):
        return text
    for root in roots:
        if text == root or text.startswith(root.rstrip("/") + "/"):
            return text[len(root) :]
    raise outside(text)


def outside(text: str) -> ToolError:
    """The refusal of a path that leads out of the workspace."""
    return ToolError(
        f"The path {shown(text)} leads outside the workspace: give one that is relative to it and stays in it.",
        code="outside_workspace",
    )
