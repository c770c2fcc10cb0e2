"""The pages that are measured, in one table: each with its name and its address."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from benchmarks.console.rows import COMMON, MISSING, RARE, Rows

LISTS: Final = {
    "sessions": "chat/session", "messages": "chat/message", "runs": "chat/run", "executions": "tools/toolexecution",
    "audit entries": "audit/auditentry", "usage": "spending/use",
}  # fmt: skip
SEARCHED: Final = ("sessions", "messages", "runs", "executions")
SEARCHES: Final = {"a common word": COMMON, "a rare word": RARE, "a word of no row": MISSING, "a prefix": COMMON[:4]}


def pages(rows: Rows, now: datetime, sessions: int, executions: int) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of each page."""
    day = (now - timedelta(days=40)).date().isoformat()
    yield "home", "/admin/"
    for name, path in LISTS.items():
        yield f"{name}", f"/admin/{path}/"
        yield f"{name}, page 2", f"/admin/{path}/?p=2"
    for name in SEARCHED:
        for kind, word in SEARCHES.items():
            yield f"{name}, {kind}", f"/admin/{LISTS[name]}/?q={word}"
    list_of = {name: f"/admin/{path}/" for name, path in LISTS.items()}
    yield "sessions, of a user", f"{list_of['sessions']}?user=user7"
    yield "sessions, of a day", f"{list_of['sessions']}?updated__on={day}"
    yield "messages, of a role", f"{list_of['messages']}?role__exact=assistant"
    yield "messages, of a day", f"{list_of['messages']}?run__created__on={day}"
    yield "runs, failed", f"{list_of['runs']}?status__exact=failed"
    yield "runs, of a day", f"{list_of['runs']}?created__on={day}"
    yield "executions, failed", f"{list_of['executions']}?status__exact=failed"
    yield "executions, of a tool and a day", f"{list_of['executions']}?tool=git.status&created__on={day}"
    yield "executions, failed, a common word", f"{list_of['executions']}?status__exact=failed&q={COMMON}"
    yield "executions, of a day, a common word", f"{list_of['executions']}?created__on={day}&q={COMMON}"
    yield "executions, two words that never meet", f"{list_of['executions']}?q={RARE}+{MISSING}"
    yield "a session", f"/admin/chat/session/{rows.session_id(sessions - 1)}/change/"
    yield "a run with 10,000 events", f"/admin/chat/run/{rows.run_id(sessions * 10 - 1)}/change/"
    yield "an execution", f"/admin/tools/toolexecution/{rows.execution_id(executions - 1)}/change/"
