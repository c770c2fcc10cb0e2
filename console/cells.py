"""Values of the admin pages as HTML: escaped, bounded, and the same in every list and on every page."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify

from console.visible_text import visible_text, visible_text_line

NOTHING: Final = "-"
SHORT: Final = 80
"""Characters of a text in a list."""

SHORT_ID: Final = 8

LONG: Final = 20_000
"""Characters of a text on its own page; the rest is a download."""

PREFIX: Final = 400
"""Characters that a list reads of a long column."""

_ESCAPED: Final = re.compile(r"(?:\\u[0-9a-f]{4})+")


def short_id(key: UUID) -> str:
    """Return the end of an id."""
    # The first bits of a UUIDv7 are the time, so ids that were created together begin alike.
    return str(key)[-SHORT_ID:]


def link(name: str, key: object, text: str = "") -> str:
    """Return a link to a row's page (`name` is `chat_run`), shown as the text or the key; nothing without a key."""
    if key is None:
        return NOTHING
    shown = text or (short_id(key) if isinstance(key, UUID) else str(key))
    return format_html('<a href="{}" title="{}">{}</a>', reverse(f"admin:{name}_change", args=[key]), key, shown)


def short(text: str | None) -> str:
    return visible_text_line(text or "", SHORT) or NOTHING


def short_json(text: str | None) -> str:
    """Return the beginning of a JSON text as the database stores it, with its `\\u` escapes as characters."""
    return short(_ESCAPED.sub(_unescaped, text or ""))


def number(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"


def money(cost: Decimal | None, *, partial: bool = False) -> str:
    """Return a cost in USD. With `partial`, only some parts of it are known."""
    if cost is None:
        return "unknown" if partial else NOTHING
    digits = f"{cost:.10f}".rstrip("0")
    whole, _, fraction = digits.partition(".")
    return f"{'at least ' if partial else ''}${whole}.{fraction:0<2}"


def duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return NOTHING
    return f"{milliseconds:,.1f} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:,.2f} s"


def moment(when: datetime | None) -> str:
    """Return the time to the second, in the console's time zone."""
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S}" if when else NOTHING


def exact_moment(when: datetime | None) -> str:
    """Return the time to the millisecond, with its zone."""
    return timezone.localtime(when).isoformat(sep=" ", timespec="milliseconds") if when else NOTHING


def status(value: str, label: str) -> SafeString:
    return format_html('<span class="audit-status audit-{}">{}</span>', value, label)


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def block(text: str, whole: str, most: int = LONG) -> str:
    """Return a text in its own lines. Beyond `most` characters it is cut, and the link `whole` leads to all of it."""
    if not text:
        return NOTHING
    # `format_html` escapes what it inserts: the text is a model's or a caller's, and may contain markup.
    shown = format_html('<pre class="audit-text" dir="auto">{}</pre>', visible_text(text[:most]))
    if len(text) <= most:
        return shown
    note = f"The first {most:,} of {len(text):,} characters."
    template = '{}<p class="audit-cut">{} <a href="{}">Download the whole text</a></p>'
    return format_html(template, shown, note, whole)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; nothing if it has no rows."""
    if not rows:
        return NOTHING
    kinds = [slugify(name) for name in head]
    heads = format_html_join("", "<th>{}</th>", ((name,) for name in head))
    lines = ((format_html_join("", '<td class="field-{}">{}</td>', zip(kinds, row, strict=True)),) for row in rows)
    body = format_html_join("", "<tr>{}</tr>", lines)
    return format_html('<table class="audit-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', heads, body)


def with_rest(shown: str, name: str, rows: int, count: int, of: Mapping[str, object]) -> str:
    """Return a table of the newest `rows` of the `count` rows with the values `of`, with a link to the others."""
    if rows == count:
        return shown
    url = reverse(f"admin:{name}_changelist", query=of)
    template = '{}<p class="audit-cut">The newest {} of {}. <a href="{}">See all</a></p>'
    return format_html(template, shown, rows, f"{count:,}", url)


def _unescaped(found: "re.Match[str]") -> str:
    text: str = json.loads(f'"{found[0]}"')
    return text
