"""Bar charts as SVG, drawn by the service.

The security policy of the pages allows no inline styles, which drawing libraries for browsers need.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from django.utils.html import format_html, format_html_join

WIDTH: Final = 20
"""The width of a bar and its gap, in units of the drawing. The browser stretches the drawing to its place."""

GAP: Final = 4
HEIGHT: Final = 100
LEAST: Final = 1.5
"""The height of the smallest bar that is not zero, so that it can be seen."""


class Bar(msgspec.Struct, frozen=True):
    """One bar: the label of its place, its value, and the value as text. `value` is None if there is no figure."""

    label: str
    value: float | None
    shown: str


def bars(title: str, note: str, of: Sequence[Bar]) -> str:
    """Return a chart with a bar for each day or hour, a title and a note such as the sum.

    A bar shows its label and its value when it is pointed at. The text for screen readers has all of them.
    """
    most = max((bar.value or 0 for bar in of), default=0)
    rows = []
    for place, bar in enumerate(of):
        height = max(LEAST, HEIGHT * bar.value / most) if bar.value else 0
        # The transparent column makes the whole height of a day sensitive to the pointer.
        rows.append((place * WIDTH, WIDTH, HEIGHT, f"{bar.label}: {bar.shown}", place * WIDTH + GAP / 2,
                     f"{HEIGHT - height:.1f}", WIDTH - GAP, f"{height:.1f}"))  # fmt: skip
    drawn = format_html_join(
        "",
        '<g><rect class="chart-column" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>'
        '<rect class="chart-bar" x="{}" y="{}" width="{}" height="{}"></rect></g>',
        rows,
    )
    spoken = f"{title}. " + "; ".join(f"{bar.label}: {bar.shown}" for bar in of if bar.value)
    template = (
        '<figure class="chart"><figcaption><strong>{}</strong> <span>{}</span></figcaption>'
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
        '<div class="chart-ends" aria-hidden="true"><span>{}</span><span>{}</span></div></figure>'
    )
    # Only the ends: labels below each bar would not fit on a phone.
    ends = (of[0].label, of[-1].label) if of else ("", "")
    return format_html(template, title, note, max(1, len(of)) * WIDTH, HEIGHT, spoken, drawn, *ends)


def share(value: float | None, most: float | None) -> str:
    """Return a horizontal bar for a cell of a table: `value` as a part of `most`."""
    part = 100 * value / most if value and most else 0
    template = (
        '<svg class="chart-share" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="chart-bar" x="0" y="0" width="{}" height="1"></rect></svg>'
    )
    return format_html(template, f"{part:.1f}") if part else ""
