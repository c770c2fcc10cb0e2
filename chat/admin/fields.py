"""The columns and tables of sessions, runs and messages."""

from typing import Any, Final

from django.db.models.functions import Length
from django.utils.html import format_html_join

from chat.admin import annotations
from chat.models import Attachment, Message, Run
from console import cells, columns
from console.columns import column, moment, number
from console.pages import ROWS
from console.visible_text import visible_text_line
from tools.admin.fields import executions_table
from tools.execution.taint import described


def _cost(row: Any) -> str:
    # A session counts its runs of unknown price. A run that used tokens and has no cost is of unknown price itself.
    unpriced = getattr(row, "unpriced", None)
    partial = bool(row.input_tokens) and row.cost_usd is None if unpriced is None else unpriced > 0
    return cells.money(row.cost_usd, partial=partial)


def outcome(row: Run) -> str:
    """Return the status of a run; `Stopped` if a limit, a budget or a filter ended it early."""
    is_stopped = row.status == Run.Status.COMPLETED and row.reason not in {"", "completed"}
    return cells.status("stopped", "Stopped") if is_stopped else cells.status(row.status, row.get_status_display())


def _duration(row: Any) -> str:
    over = row.ended and row.started
    return cells.duration((row.ended - row.started).total_seconds() * 1_000) if over else cells.NOTHING


def _content(row: Any) -> str:
    if row.content_start:
        return cells.short(row.content_start)
    if row.first_call:
        return cells.short(f"calls {row.first_call}{', …' if row.second_call else ''}")
    return f"pictures: {row.attachments}" if row.attachments else cells.NOTHING


SECTIONS: Final = {"Messages": "chat.view_message", "Tool executions": "tools.view_toolexecution"}
"""The permissions that sections of several pages need."""

session_link = columns.whole_link("session", "chat_session", "session_id")
run_of = columns.whole_link("run", "chat_run", "run_id")
tokens = tuple(number(f"{kind}_tokens", kind) for kind in ("input", "output", "cached", "reasoning"))
provider = columns.text("provider")
model = columns.text("model")
reason = columns.text("reason")
title = column("title", lambda row: cells.short(row.title or str(row.pk)))
updated = moment("updated", sortable=True)
time = moment("created", "time", sortable=True)
cost = column("cost", _cost)
counted = column("counted by", lambda row: "estimate" if row.estimated else "the provider" if row.input_tokens else "")
took = column("took", _duration)
runs = number("run_count", "runs")
session_totals = (
    number("message_count", "messages"),
    number("input_tokens", "input"),
    number("output_tokens", "output"),
    cost,
)

run_id = column("run", lambda row: cells.short_id(row.pk))
run_link = column("run", lambda row: cells.link("chat_run", row.pk))
run_status = column("status", outcome)
run_error = column("error", lambda row: cells.short(row.error_start))
session_title = column(
    "session", lambda row: cells.link("chat_session", row.session_id, visible_text_line(row.title, 40))
)

message_id = column("message", lambda row: str(row.pk), order="id")
role = column("role", lambda row: cells.status("failed", "tool error") if row.is_error else str(row.role))
content = column("text", _content)


def run_facts(row: Any) -> str:
    """Return the facts about a run as one line."""
    tokens = "" if row.input_tokens is None else f"{row.input_tokens:,} tokens in, {row.output_tokens or 0:,} out"
    reason = "" if row.reason in {"", "completed"} else cells.short(row.reason)
    model = cells.short(f"{row.provider}, {row.model}".strip(", "))
    facts = (
        outcome(row), reason, session_title(row), row.names.link(row.owner), model,
        tokens, _cost(row) if row.input_tokens else "", _duration(row) if row.ended else "", _taint(row),
    )  # fmt: skip
    return _line(facts)


def session_facts(row: Any) -> str:
    """Return the facts about a session as one line."""
    tokens = f"{row.input_tokens or 0:,} tokens in, {row.output_tokens or 0:,} out"
    facts = (
        row.names.link(row.owner), f"{row.message_count:,} messages", f"{row.run_count:,} runs", tokens, _cost(row),
        "archived" if row.archived else "", f"last used {cells.moment(row.updated)}", _taint(row),
    )  # fmt: skip
    return _line(facts)


def _taint(row: Any) -> str:
    return f"texts from outside: {described(row.taint)}" if row.taint else ""


def _line(facts: tuple[str, ...]) -> str:
    return format_html_join(" · ", "<span>{}</span>", ((fact,) for fact in facts if fact))


def runs_table(**of: object) -> str:
    """Return a table of the newest runs with these values, the oldest first, for the page of another row."""
    found = Run.objects.filter(**of)
    newest = annotations.with_session_title(found.order_by("-created"))[:ROWS]
    rows = [
        (
            time(row),
            cells.link("chat_run", row.pk),
            run_status(row),
            cells.short(row.reason),
            cells.short(row.provider),
            cells.short(row.model),
            cells.number(row.input_tokens),
            cells.number(row.output_tokens),
            cost(row),
            took(row),
            run_error(row),
        )
        for row in reversed(newest)
    ]
    head = ("Time", "Run", "Status", "Reason", "Provider", "Model", "Input", "Output", "Cost", "Took", "Error")
    return cells.with_rest(cells.table(head, rows), "chat_run", len(rows), found.count(), of)


def executions_of_calls(row: Message) -> str:
    """Return a table of the executions that a message requested, or that it answers."""
    calls = [call["call_id"] for call in row.tool_calls or ()] or [row.call_id]
    return executions_table(run_id=row.run_id, call_id__in=calls) if any(calls) else cells.NOTHING


def pictures(row: Message) -> str:
    """Return a table of the pictures of a message, by type and size."""
    found = Attachment.objects.filter(message=row).annotate(size=Length("data")).defer("data").order_by("id")
    return cells.table(("Type", "Bytes"), [(cells.short(one.media_type), cells.number(one.size)) for one in found])
