"""The event log of a run, on the run's page."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from django.db.models import Max
from django.urls import reverse
from django.utils.html import format_html

from chat.history.log_lines import event_lines
from chat.models import Run, RunEvent
from console import cells
from console.visible_text import visible_text

MAX_LINES: Final = 200
MAX_BYTES: Final = 512 * 1_024
"""Bytes of frames after which the page reads no further row."""

MAX_CHARACTERS: Final = 2_000
"""Characters of one line."""

SETTLED: Final = re.compile(rb'id: (\d+)\ndata: \{"type":"(?!token|reasoning|tool_output)')

PRUNED: Final = "No events are stored, or they were deleted. The messages and the tool executions remain."


def log_table(run: Run) -> str:
    """Return the beginning of the log, with a link to the whole log."""
    lines = list(islice(event_lines(_rows(run)), MAX_LINES))
    if not lines:
        return PRUNED
    rows = []
    for line in lines:
        text = line.text or cells.compact(line.fields)
        cut = text[:MAX_CHARACTERS] + (f" … ({len(text):,} characters)" if len(text) > MAX_CHARACTERS else "")
        content = format_html('<pre class="audit-text" dir="auto">{}</pre>', visible_text(cut))
        rows.append((line.numbers, line.kind, content))
    shown = cells.table(("No.", "Event", "Content"), rows)
    last = RunEvent.objects.filter(run=run).aggregate(last=Max("last"))["last"]
    template = '{}<p class="audit-cut">Events to {} of {}. <a href="{}">Download the log as it was streamed</a></p>'
    return format_html(template, shown, lines[-1].last, last, reverse("admin:chat_run_whole", args=[run.pk, "events"]))


def last_settled_event(run: Run) -> int:
    """Return the number of the last stored event other than a piece of a text; 0 if none is stored."""
    rows = RunEvent.objects.filter(run=run).order_by("-first").values_list("frames", flat=True)
    for frames in rows.iterator(chunk_size=50):
        if found := SETTLED.findall(bytes(frames)):
            return int(found[-1])
    return 0


def whole_log(run: Run) -> str:
    """Return all frames of the log, as they were streamed."""
    frames = RunEvent.objects.filter(run=run).order_by("first").values_list("frames", flat=True)
    return b"".join(bytes(part) for part in frames).decode()


def _rows(run: Run) -> Iterator[tuple[int, bytes]]:
    size = 0
    rows = RunEvent.objects.filter(run=run).order_by("first").values_list("first", "frames")
    # A log can be larger than the memory of the process.
    for first, frames in rows.iterator(chunk_size=50):
        yield first, bytes(frames)
        size += len(frames)
        if size >= MAX_BYTES:
            return
