"""Unified diffs of whole files, as `git diff` shows them."""

import difflib
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

MAX_LINES: Final = 4_000
"""Lines that are compared, without those that both files have at their beginning and at their end."""

CONTEXT: Final = 3
NO_END: Final = "\\ No newline at end of file"


def unified_diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Return the difference of two contents of a file; None is a file that does not exist."""
    old, new = (f"{side}/{path}" if data is not None else "/dev/null" for side, data in (("a", before), ("b", after)))
    old_text, new_text = _decoded(before), _decoded(after)
    if old_text is None or new_text is None:
        return f"Binary files {old} and {new} differ\n"
    old_lines, new_lines = _lines(old_text), _lines(new_text)
    if max(_differing(old_lines, new_lines)) > MAX_LINES:
        return f"Files {old} and {new} differ in too many lines\n"
    lines = difflib.unified_diff(old_lines, new_lines, old, new, n=CONTEXT)
    return "".join(line if line.endswith("\n") else f"{line}\n{NO_END}\n" for line in lines)


def _lines(text: str) -> list[str]:
    # `splitlines` knows more line ends than a diff does.
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _decoded(data: bytes | None) -> str | None:
    """Return a content as text; None if it is binary."""
    if data is None:
        return ""
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _differing(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Return the numbers of lines between the common beginning and the common end."""
    begin = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    ends = zip(reversed(old[begin:]), reversed(new[begin:]), strict=False)
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    return len(old) - begin - end, len(new) - begin - end
