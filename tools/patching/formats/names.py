"""File names in patches: in C quotes if git needs them, and refused if they lead out of the workspace.

The quotes: https://git-scm.com/docs/git-config#Documentation/git-config.txt-corequotePath.
"""

import re
from collections.abc import Sequence

from tools.patching.messages import quoted, refusal

# The longest path (PATH_MAX), with every byte as an octal escape.
MAX_BYTES = 16 * 1024
"""Bytes of a name in a patch."""

QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
ESCAPED = {
    b"a": b"\a",
    b"b": b"\b",
    b"t": b"\t",
    b"n": b"\n",
    b"v": b"\v",
    b"f": b"\f",
    b"r": b"\r",
    b'"': b'"',
    b"\\": b"\\",
}


def other_names(name: bytes, roots: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the names that are also meant by one with a prefix, or with an absolute path behind a prefix."""
    found = (name[2:] if name.startswith((b"a/", b"b/")) else b"", _beneath(b"/" + name, roots))
    return tuple(filter(None, found))


def _beneath(name: bytes, roots: Sequence[bytes]) -> bytes:
    """Return the rest of an absolute path beneath one of the roots, or nothing."""
    return next((name[len(root) :].lstrip(b"/") for root in roots if name.startswith(root.rstrip(b"/") + b"/")), b"")


def unquoted(text: bytes, number: int) -> bytes:
    """Return the name in a text that may be in C quotes. Raises `ToolError` if they are invalid."""
    refuse_long(text, number)
    if not text.startswith(b'"'):
        return text
    match = QUOTED.fullmatch(text)
    if match is None:
        raise refusal(number, f"the quoted name {quoted(text)} has no closing quote, or more text after it.")
    return unescaped(match[1], number)


def refuse_long(text: bytes, number: int) -> None:
    """Raise `ToolError` for a name that is too long."""
    if len(text) > MAX_BYTES:
        raise refusal(number, f"a name of {len(text)} bytes: at most {MAX_BYTES} are allowed.", "too_large")


def unescaped(text: bytes, number: int) -> bytes:
    """Return a quoted name with its escapes replaced. Raises `ToolError` for an unknown escape."""

    def meaning(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if len(code) == len("ooo"):
            return bytes((int(code, 8),))
        if code not in ESCAPED:
            raise refusal(number, f"the quoted name {quoted(text)} has an unknown escape {quoted(match[0])}.")
        return ESCAPED[code]

    return ESCAPE.sub(meaning, text)


def path_of(name: bytes, number: int, roots: Sequence[bytes] = ()) -> str:
    """Return the path of a name in a patch, relative to the workspace and in its canonical form.

    `roots` are the absolute paths of the workspace, which the name may start with.

    Raises `ToolError`: `outside_workspace` if it leads out, `not_allowed` for git's own folder, `invalid_params` if it
    names no file.
    """
    # The workspace checks the path again when it opens it, with links and every spelling of `.git`.
    shown = quoted(name)
    name = _beneath(name, roots) or name
    if name.startswith(b"/"):
        raise refusal(number, f"the path {shown} is absolute: give one relative to the workspace.", "outside_workspace")
    if b"\0" in name:
        raise refusal(number, f"the path {shown} holds a NUL, which no name can: remove it.")
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise refusal(number, f"the path {shown} is not UTF-8.") from error
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise refusal(number, f"the path {shown} has '..' in it: give one that stays inside.", "outside_workspace")
    if any(part.casefold() == ".git" for part in parts):
        raise refusal(number, f"the path {shown} is in git's own folder, which no patch changes.", "not_allowed")
    if not parts or text.endswith(("/", "/.")):
        raise refusal(number, f"the path {shown} names no file.")
    return "/".join(parts)
