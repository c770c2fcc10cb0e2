"""The timeline of a run: messages, model calls, tool executions and notes in their order, for the console's pages."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from access.keys.names import Names
from chat.admin import fields
from chat.models import Attachment, Message, RunEvent
from console import cells
from console.html.markdown import PageTexts
from console.visible_text import visible_text
from tools.admin.card import card
from tools.models import ToolExecution

MAX_EXECUTIONS: Final = 200
"""Executions of a page. The list has the others."""

MAX_TEXT: Final = 20_000
"""Characters of a text; the rest is on the message's page."""

MAX_LOG_BYTES: Final = 8 * 2**20
"""Bytes of a run's event log that are searched for notes."""

# A frame is JSON on one line, so an event in a text cannot look like one.
PAGE: Final = 60
"""Messages of a conversation's page."""

MAX_ID_DIGITS: Final = 18

NOTES: Final = re.compile(rb'data: (\{"type":"(?:retry|compaction|budget)".*\})\n')


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: its time, its kind (`user`, `assistant`, `summary`, `tool`, `note`) and what its template needs."""

    time: datetime
    kind: str
    run_id: UUID | None = None
    context: dict[str, Any]

    @property
    def moment(self) -> str:
        return cells.moment(self.time)

    @property
    def exact(self) -> str:
        return cells.exact_moment(self.time)


def of_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Return a page of a run for its template, with its retries, compactions and budget warnings."""
    messages, executions = Message.objects.filter(run=run_id), ToolExecution.objects.filter(run_id=run_id)
    return _page(request, messages, executions, list(_notes(run_id)))


def of_session(request: HttpRequest, session_id: UUID) -> dict[str, Any]:
    """Return a page of a conversation for its template."""
    messages = Message.objects.filter(session=session_id)
    return _page(request, messages, ToolExecution.objects.filter(session_id=session_id), [])


def _page(
    request: HttpRequest,
    messages: QuerySet[Message],
    executions: QuerySet[ToolExecution],
    notes: Sequence[Entry],
) -> dict[str, Any]:
    """Return the newest messages, or those before the message `before`, with what happened in their time."""
    before = request.GET.get("before", "")
    end: datetime | None = None
    if before.isascii() and before.isdigit() and len(before) <= MAX_ID_DIGITS:
        end = messages.filter(id=int(before)).values_list("created", flat=True).first()
        messages = messages.filter(id__lt=int(before))
    found = list(messages.order_by("-id")[: PAGE + 1])
    shown = found[:PAGE][::-1]
    has_older = len(found) > PAGE
    if has_older:
        # The calls of earlier messages may have the same ids as those of this page.
        start = shown[0].created
        executions = executions.filter(created__gte=start)
        notes = [note for note in notes if note.time >= start]
    if end is not None:
        executions = executions.filter(created__lt=end)
        notes = [note for note in notes if note.time < end]
    rows = list(executions.order_by("created")[: MAX_EXECUTIONS + 1])
    return {
        "entries": _merged(_entries(request, shown, rows[:MAX_EXECUTIONS]), notes),
        "older": shown[0].pk if has_older else None,
        "is_newest": end is None,
        "is_cut": len(rows) > MAX_EXECUTIONS,
    }


def _entries(request: HttpRequest, messages: Sequence[Message], executions: Sequence[ToolExecution]) -> list[Entry]:
    """Put each execution behind the message that asked for it, and the others in their place in time."""
    names = Names((row.decided_by for row in executions), request.user)
    texts = PageTexts()
    pictures: Mapping[int, list[Attachment]] = defaultdict(list)
    with_pictures = [row.pk for row in messages if row.attachments]
    for one in Attachment.objects.filter(message__in=with_pictures).defer("data").order_by("id"):
        pictures[one.message_id].append(one)
    # By run too, because a page of a session has several, whose calls may have the same ids.
    called: dict[tuple[UUID | None, str], deque[ToolExecution]] = defaultdict(deque)
    for row in executions:
        called[row.run_id, row.call_id].append(row)
    answered: dict[tuple[UUID | None, str], Entry] = {}
    made: list[Entry] = []
    placed: set[UUID] = set()
    before: datetime | None = None
    for message in messages:
        if message.role == Message.Role.TOOL and (execution := answered.get((message.run_id, message.call_id))):
            execution.context["answer_url"] = reverse("admin:chat_message_change", args=[message.pk])
            continue
        made.append(_message_entry(message, pictures[message.pk], before, texts))
        before = message.created
        for call in message.tool_calls or ():
            # A provider may use an id of a call again: each call takes its next execution.
            if of_call := called.get((message.run_id, call["call_id"])):
                row = of_call.popleft()
                placed.add(row.pk)
                made.append(_tool_entry(request, row, names))
                answered[message.run_id, row.call_id] = made[-1]
                before = row.ended or before
    return _merged(made, (_tool_entry(request, row, names) for row in executions if row.pk not in placed))


def _message_entry(row: Message, pictures: Sequence[Attachment], before: datetime | None, texts: PageTexts) -> Entry:
    page = reverse("admin:chat_message_change", args=[row.pk])
    is_answer = row.role in {Message.Role.ASSISTANT, Message.Role.SUMMARY}
    reasoning = (row.provider_parts or {}).get("reasoning") if is_answer else ""
    text = row.content[:MAX_TEXT]
    took = (row.created - before) / timedelta(milliseconds=1) if is_answer and before else None
    return Entry(
        time=row.created,
        kind=row.role,
        run_id=row.run_id,
        context={
            "url": page,
            # The output of a tool is not Markdown.
            "text": cells.block(row.content, page, MAX_TEXT) if row.role == Message.Role.TOOL else texts.rendered(text),
            "cut": cells.number(len(row.content)) if len(text) < len(row.content) else "",
            "reasoning": cells.block(str(reasoning), page, MAX_TEXT) if reasoning else "",
            "tool": cells.short(row.tool),
            "is_error": row.is_error,
            "model": cells.short(f"{row.provider}, {row.model}") if row.model else "",
            "tokens": f"{row.input_tokens or 0:,} in, {row.output_tokens or 0:,} out" if is_answer else "",
            "estimated": row.estimated,
            "cost": fields.cost(row) if is_answer and row.input_tokens is not None else "",
            "took": cells.duration(took) if took is not None else "",
            "calls": [cells.short(call["name"]) for call in row.tool_calls or ()],
            "pictures": [reverse("admin:chat_message_picture", args=[row.pk, one.pk]) for one in pictures],
        },
    )


def _tool_entry(request: HttpRequest, row: ToolExecution, names: Names) -> Entry:
    return Entry(time=row.created, kind="execution", run_id=row.run_id, context=card(request, row, names))


def _notes(run_id: UUID) -> Iterator[Entry]:
    """Yield the retries, compactions and budget warnings of a run, as far as its log is kept."""
    size = 0
    rows = RunEvent.objects.filter(run=run_id).order_by("first").values_list("frames", "created")
    for frames, created in rows.iterator(chunk_size=50):
        for found in NOTES.finditer(bytes(frames)):
            event = msgspec.json.decode(found[1])
            yield Entry(time=created, kind="note", run_id=run_id, context={"text": visible_text(_sentence(event))})
        size += len(frames)
        if size > MAX_LOG_BYTES:
            return


def _sentence(event: dict[str, Any]) -> str:
    if event["type"] == "retry":
        text = f"Attempt {event['attempt']} with {event['provider']} failed: {event['error']}"
        return f"{text} Next: {event['next_provider']}."
    if event["type"] == "budget":
        spent, limit, unit = event["spent"], event["limit"], event["unit"]
        return f"The budget of the {event['scope']} ({event['span']}) is nearly used: {spent:,} of {limit:,} {unit}."
    return (
        f"The conversation was shortened for the model: from {event['before']:,} to {event['after']:,} tokens, "
        f"{event.get('summarized', 0)} messages summarized, {event['left_out']} left out, "
        f"{event['results']} tool results replaced."
    )


def _merged(entries: list[Entry], others: Iterable[Entry]) -> list[Entry]:
    """Insert the others where their times belong, and leave the order of the entries as it is."""
    for other in others:
        place = next((index for index, entry in enumerate(entries) if entry.time > other.time), len(entries))
        entries.insert(place, other)
    return entries
