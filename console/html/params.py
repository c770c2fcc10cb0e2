"""The params or the result of a call as HTML: each by its name, with the lines of its texts, and patches as diffs."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.utils.html import format_html, format_html_join

from console import cells
from console.visible_text import visible_text
from web.plurals import counted

DIFF: Final = re.compile(r"\s*(?:diff --git |--- |\*\*\* Begin Patch|@@ )")
MARKS: Final = {"+": "added", "-": "removed", "@": "place"}
"""The kinds of a diff's lines, by their first characters."""


def params(values: Any, whole: str = "", most: int = cells.LONG) -> str:
    """Return the params, or the fields of a result. With `whole`, a link to all of them, texts are cut at `most`."""
    if values in (None, {}, []):
        return cells.NOTHING
    fields = values if isinstance(values, dict) else {"value": values}
    parts = [part for name in fields for part in _parts(name, fields[name])]
    # Reading from left to right, whatever letters a text begins with.
    template = (
        '<div class="audit-param"><p><strong>{}</strong> <span>{}</span></p>'
        '<pre class="audit-text" dir="ltr">{}</pre>{}</div>'
    )
    rows = []
    for name, value in parts:
        text = value if isinstance(value, str) else cells.pretty(value)
        kept = text[:most] if whole else text
        lines = visible_text(kept).split("\n")
        # A text is not JSON: the word distinguishes `true` from "true".
        kind = f"text, {counted(len(lines), 'line')}, {counted(len(text), 'character')}" if value is text else "JSON"
        rest = ""
        if len(kept) < len(text):
            kind = f"{counted(len(text), 'character')}, of which the first {len(kept):,} are shown"
            rest = format_html('<p class="audit-cut"><a href="{}">Download the whole text</a></p>', whole)
        is_diff = isinstance(value, str) and (name == "patch" or DIFF.match(value) is not None)
        rows.append((visible_text(name), kind, numbered(lines, is_diff=is_diff), rest))
    return format_html_join("", template, rows)


def numbered(lines: Sequence[str], *, is_diff: bool) -> str:
    """Return each line as an element with a number: a long line that wraps must not look like several."""
    kinds = ((f" audit-{MARKS[line[0]]}" if is_diff and line[:1] in MARKS else "", line) for line in lines)
    return format_html_join("", '<span class="audit-line{}">{}\n</span>', kinds)


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value with its name; a list or an object that has a text of several lines is taken apart."""
    if isinstance(value, str) or not _has_lines(value):
        yield name, value
        return
    parts = value.items() if isinstance(value, dict) else ((str(number), one) for number, one in enumerate(value))
    for part, inner in parts:
        yield from _parts(f"{name}[{part}]", inner)


def _has_lines(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_lines, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "\n" in value
