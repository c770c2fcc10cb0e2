"""Paths as callers write them, and their names."""

import os
import re
from collections.abc import Iterable

from tools.base import ToolError

PATH_MAX = 4096
NAME_MAX = 255
SHOWN_CHARS = 120

# A name that is not UTF-8 is shown with these escapes. A backslash that would look like one is escaped itself.
ESCAPE = re.compile(rb"\\x(5c|[89a-f][0-9a-f])")

Parts = tuple[str, ...]
"""The names of a path below the base, none of them empty or `.`; `()` is the base itself.

They are as Python decodes names of files, which depends on the locale: `joined` returns the same text in each.
"""


def parse(text: str, roots: Iterable[str], max_depth: int) -> Parts:
    """Return the names in a path. Raises `ToolError` (`invalid_params`, `outside_workspace`).

    `roots` are the absolute paths of the base.
    """
    _check_text(text)
    rest = os.fsdecode(ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text.encode()))
    if rest.startswith("/"):
        root = next((root for root in roots if rest == root or rest.startswith(root.rstrip("/") + "/")), None)
        if root is None:
            raise outside(text)
        rest = rest[len(root) :]
    # The meaning of `..` depends on the links before it, so it stays.
    parts = tuple(part for part in rest.split("/") if part not in {"", "."})
    size = max((len(os.fsencode(part)) for part in parts), default=0)
    if size > NAME_MAX:
        raise ToolError(
            f"A name in the path {shown(text)} has {size} bytes: the maximum is {NAME_MAX}.", code="invalid_params"
        )
    if len(parts) > max_depth:
        raise ToolError(
            f"The path {shown(text)} has {len(parts)} names: the maximum is {max_depth}.", code="invalid_params"
        )
    return parts


def shown(text: str) -> str:
    """Return a path as a message may show it: quoted, printable, and short."""
    short = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short) + "'"


def joined(parts: Parts) -> str:
    """Return the path of the names as results show it, and as `parse` takes it.

    Bytes that are not UTF-8 become `\\xff`.
    """
    path = os.fsencode("/".join(parts))
    if b"\\x" in path:
        path = ESCAPE.sub(rb"\\x5cx\1", path)
    return path.decode("utf-8", "backslashreplace") or "."


def _check_text(text: str) -> None:
    if not text:
        raise ToolError(
            "The path is empty: give one relative to the workspace, such as 'docs/a.md'.", code="invalid_params"
        )
    if "\0" in text:
        raise ToolError(f"The path {shown(text)} holds a NUL, which no name can: remove it.", code="invalid_params")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ToolError(
            f"The path {shown(text)} holds a lone surrogate: give valid Unicode.", code="invalid_params"
        ) from error
    if size > PATH_MAX:
        raise ToolError(f"The path has {size} bytes: the maximum is {PATH_MAX}.", code="invalid_params")


def outside(text: str) -> ToolError:
    """Return the error for a path that leads out of the workspace."""
    return ToolError(
        f"The path {shown(text)} leads outside the workspace: give one that is relative to it and stays in it.",
        code="outside_workspace",
    )
