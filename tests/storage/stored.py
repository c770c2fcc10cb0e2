"""A SQLite database of any number of conversations, with every type of value that is hard to copy."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

START: Final = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
DOCUMENTS: Final = [
    {},
    {"b": 1, "a": [1.5, None, True, "é\U0001f600", {"deep": -0.0}]},
    {"big": 1e300, "long": 10**40, "small": 5e-324},
]
TEXTS: Final = ["", "plain", "é\U0001f600\n\t\\N \\.", "a" * 3_000, "NUL \x00 in it", "'; DROP TABLE runs; --"]
BYTES: Final = [b"", bytes(range(256)), b"\\x00\n"]


def key(kind: int, number: int) -> str:
    return UUID(int=kind << 120 | number).hex


def moment(number: int) -> str:
    return (START + timedelta(seconds=number, microseconds=number)).replace(tzinfo=None).isoformat(" ")


def fill(path: Path, sessions: int) -> int:
    """Add this many sessions with two runs and their other rows each; return the number of rows, ten per session."""
    numbers = range(sessions)
    runs = range(2 * sessions)
    with closing(sqlite3.connect(path)) as database:
        rows: dict[str, list[dict[str, Any]]] = {
            "sessions": [_session(number) for number in numbers],
            "runs": [_run(number) for number in runs],
            "messages": [_message(number) for number in range(2 * len(runs))],
            "run_events": [_event(number) for number in runs],
            "tool_executions": [_execution(number) for number in numbers],
        }
        for table, entries in rows.items():
            names = list(entries[0])
            statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
            database.executemany(statement, [tuple(entry.values()) for entry in entries])
        database.execute(
            "INSERT INTO usage VALUES (1, '2026-02-28', 'o', 'k', 'p', 'm', '', 1, 0, 0, 0, 5, 6, 0, 0, 7, 0, 0, 0, 0, "
            "0)"
        )
        database.execute("INSERT INTO auth_user VALUES (1, '!', NULL, 1, 'root', '', '', 1, 1, '2026-01-01', '')")
        database.execute(
            "INSERT INTO api_keys (id, name, prefix, sha256, scopes, rate, budgets, created, revoked, user_id) VALUES "
            "(?, 'é', 'osk_', 'ab', '[\"chat\", \"git.*\"]', '', '[]', '2026-01-01', '2026-01-02', 1)",
            [key(7, 1)],
        )
        database.commit()
    return sum(map(len, rows.values()))


def _session(number: int) -> dict[str, Any]:
    return {
        "id": key(1, number),
        "owner": "local",
        "user": TEXTS[number % 3],
        "title": f"Title {number}",
        "metadata": json.dumps(DOCUMENTS[number % len(DOCUMENTS)]),
        "created": moment(number),
        "updated": moment(number + 1),
    }


def _run(number: int) -> dict[str, Any]:
    """Add a run. Every fifth one was resumed from a run with a later key."""
    return {
        "id": key(2, number),
        "session_id": key(1, number // 2),
        "status": "completed",
        "reason": "completed",
        "error": TEXTS[number % len(TEXTS)],
        "provider": "p",
        "model": "m",
        "process": "gone",
        "options": "{}",
        "metadata": json.dumps(DOCUMENTS[number % len(DOCUMENTS)]),
        "cost_usd": [None, "0.0000000001", "12.3400000000"][number % 3],
        "input_tokens": number,
        "estimated": number % 2,
        "created": moment(number),
        "ended": moment(number),
        "resumed_from_id": key(2, number + 1) if number % 5 == 0 else None,
    }


def _message(number: int) -> dict[str, Any]:
    return {
        "session_id": key(1, number // 4),
        "run_id": key(2, number // 2),
        "role": "assistant" if number % 2 else "user",
        "content": TEXTS[number % len(TEXTS)],
        "attachments": 0,
        "call_id": "",
        "tool": "",
        "is_error": 0,
        "provider": "p",
        "model": "m",
        "estimated": 0,
        "provider_parts": json.dumps(["\x00", number]) if number % 7 == 0 else None,
        "created": moment(number),
    }


def _event(number: int) -> dict[str, Any]:
    return {
        "run_id": key(2, number),
        "first": 1,
        "last": 20,
        "frames": BYTES[number % len(BYTES)] * 3,
        "created": moment(number),
    }


def _execution(number: int) -> dict[str, Any]:
    return {
        "id": key(3, number),
        "owner": "local",
        "session_id": key(1, number),
        "run_id": key(2, 2 * number),
        "call_id": "",
        "tool": "fs.read",
        "source": "caller",
        "params": json.dumps(DOCUMENTS[number % len(DOCUMENTS)]),
        "params_sha256": "0" * 64,
        "status": "succeeded",
        "confinement": "",
        "data": json.dumps({"content": "x"}),
        "output": "",
        "output_sha256": "",
        "output_size": 2**40,
        "truncated": 0,
        "error": "",
        "code": "",
        "created": moment(number),
        "duration_ms": 0.1 + number,
        "decision": "",
        "decided_by": "",
        "note": "",
    }
