"""Rows in bulk: sessions with runs and messages, and tool executions, spread over three months.

The audit chain has no entries of them. Times and ids are in order, as those of a service.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from chat.searched import MESSAGES, RUNS, SESSIONS
from storage.search import migration
from tools.execution.searched import EXECUTIONS

SPAN: Final = timedelta(days=90)
ROWS_AT_ONCE: Final = 20_000
RUNS_OF_A_SESSION: Final = 10
EVENTS: Final = 10_000
"""Events of the last run, whose page shows the beginning of a long log."""

OWNERS: Final = 20
TOOLS: Final = ("fs.read", "fs.search", "fs.apply_patch", "git.status", "terminal.exec", "retrieval.search")
STATUSES: Final = ("succeeded",) * 18 + ("failed", "denied")
MODELS: Final = (("openai", "gpt-5-mini"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash"))
COMMON: Final = "harbor"
"""A word of every message and every execution."""

RARE: Final = "lighthouse"
"""A word of one execution and one message in `RARITY`."""

RARITY: Final = 50_000
MISSING: Final = "cormorant"
TOKEN: Final = b'id: %d\ndata: {"type":"token","token":" word"}\n\n'
OTHER: Final = (
    b'id: %d\ndata: {"type":"retry","provider":"openai","attempt":1,"error":"A pause.","next_provider":"openai"}\n\n'
)
VOCABULARY: Final = tuple(
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=3 + number % 8)) for number in range(20_000)
)


class Rows:
    """The rows of a database of this size, written in bulk."""

    def __init__(self, sessions: int, executions: int, now: datetime) -> None:
        self._sessions = sessions
        self._runs = sessions * RUNS_OF_A_SESSION
        self._executions = executions
        self._now = now
        self._chance = random.Random(1)
        self._is_sqlite = connection.vendor == "sqlite"

    def write(self) -> None:
        """Write all rows and index their words. Raises the database's errors."""
        indexes = (SESSIONS, MESSAGES, RUNS, EXECUTIONS)
        # Rows are indexed together afterwards, which takes less time than one by one.
        for index in indexes:
            migration.drop(index, "default")
        _insert("sessions", "id owner user title metadata active_run archived created updated", self._all_sessions())
        _insert(
            "runs",
            "id session_id key status reason error retryable provider model process options suspended metadata "
            "estimated input_tokens output_tokens cost_usd created started ended",
            self._all_runs(),
        )
        _insert(
            "messages",
            "session_id run_id role content attachments call_id tool is_error provider model estimated input_tokens "
            "output_tokens cost_usd created",
            self._all_messages(),
        )
        _insert("run_events", "run_id first last frames created", self._all_events())
        _insert(
            "tool_executions",
            "id owner session_id run_id call_id tool source params params_sha256 status confinement data output "
            "output_sha256 truncated error code created started ended duration_ms decision decided_by note "
            "result_sha256",
            self._all_executions(),
        )
        _insert(
            "usage",
            "day owner key provider model tool calls failed estimated unpriced input_tokens output_tokens "
            "cached_tokens reasoning_tokens cost milliseconds runs run_milliseconds first_tokens "
            "first_token_milliseconds",
            _usage(self._now),
        )
        for index in indexes:
            migration.create(index, "default")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
            if self._is_sqlite:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def session_id(self, number: int) -> Any:
        return self._id(1, number, self._sessions)

    def run_id(self, number: int) -> Any:
        return self._id(2, number, self._runs)

    def execution_id(self, number: int) -> Any:
        return self._id(3, number, self._executions)

    def _moment(self, number: int, count: int) -> datetime:
        return self._now - SPAN + SPAN * (number + 1) / (count + 1)

    def _id(self, kind: int, number: int, count: int) -> Any:
        milliseconds = int(self._moment(number, count).timestamp() * 1_000)
        key = UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | kind << 40 | number)
        return key.hex if self._is_sqlite else key

    def _time(self, number: int, count: int) -> str:
        return str(self._moment(number, count).astimezone(UTC).replace(tzinfo=None))

    def _text(self, number: int, words: int) -> str:
        rare = [RARE] if number % RARITY == RARITY // 2 else []
        return " ".join([COMMON, *self._chance.choices(VOCABULARY, k=words), *rare])

    def _all_sessions(self) -> Iterator[tuple[Any, ...]]:
        count = self._sessions
        for number in range(count):
            time = self._time(number, count)
            yield (self.session_id(number), owner_of(number), f"user{number % 50}", self._text(number, 5), "{}",
                   None, 0, time, time)  # fmt: skip

    def _all_runs(self) -> Iterator[tuple[Any, ...]]:
        count = self._runs
        for number in range(count):
            provider, model = MODELS[number % len(MODELS)]
            is_failed = number % 40 == 0
            outcome = (
                ("failed", "provider_timeout", "The model took too long.") if is_failed else ("completed",) * 2 + ("",)
            )
            time = self._time(number, count)
            yield (self.run_id(number), self.session_id(number // RUNS_OF_A_SESSION), None, *outcome, 0, provider,
                   model, "", "{}", "", "{}", 0, 1_200, 340, "0.0012", time, time, time)  # fmt: skip

    def _all_messages(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self._runs):
            provider, model = MODELS[number % len(MODELS)]
            ids = self.session_id(number // RUNS_OF_A_SESSION), self.run_id(number)
            time = self._time(number, self._runs)
            yield (*ids, "user", self._text(2 * number, 15), 0, "", "", 0, "", "", 0, None, None, None, time)
            yield (*ids, "assistant", self._text(2 * number + 1, 60), 0, "", "", 0, provider, model, 0, 1_200, 340,
                   "0.0012", time)  # fmt: skip

    def _all_events(self) -> Iterator[tuple[Any, ...]]:
        time = self._time(self._runs - 1, self._runs)
        for first in range(1, EVENTS, 100):
            frames = b"".join((OTHER if each % 20 == 0 else TOKEN) % each for each in range(first, first + 100))
            yield self.run_id(self._runs - 1), first, first + 99, frames, time

    def _all_executions(self) -> Iterator[tuple[Any, ...]]:
        count = self._executions
        for number in range(count):
            run = number * self._runs // count
            session = run // RUNS_OF_A_SESSION
            tool, status = TOOLS[number % len(TOOLS)], STATUSES[number % len(STATUSES)]
            words = self._text(number, 25)
            params = json.dumps({"path": f"harbor/{words.split()[1]}.py", "query": words[:60]})
            time = self._time(number, count)
            yield (self.execution_id(number), owner_of(session), self.session_id(session), self.run_id(run),
                   f"call_{number}", tool, "model", params, "ab" * 32, status, "landlock", json.dumps({"text": words}),
                   "", "", 0, "" if status == "succeeded" else "There is no such file.", "", time, time, time, 12.5,
                   "", "", "", "")  # fmt: skip


def owner_of(session: int) -> str:
    """Return the owner of a session."""
    return f"key:{UUID(int=session % OWNERS)}"


def _usage(now: datetime) -> Iterator[tuple[Any, ...]]:
    for day in range(SPAN.days):
        for owner in range(OWNERS):
            for provider, model in MODELS:
                date = (now - timedelta(days=day)).date().isoformat()
                key = UUID(int=owner)
                yield (date, f"key:{key}", str(key), provider, model, "", 37, 1, 0, 0, 44_400, 12_580, 0, 0,
                       44_000_000, 0, 37, 74_000, 37, 18_500)  # fmt: skip


def _insert(table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
    names = ", ".join(f'"{name}"' for name in columns.split())
    connection.ensure_connection()
    waiting = iter(rows)
    while batch := list(islice(waiting, ROWS_AT_ONCE)):
        with transaction.atomic():
            cursor = connection.connection.cursor()
            if connection.vendor == "sqlite":
                places = ", ".join("?" for _ in columns.split())
                cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", batch)  # noqa: S608 - ours
            else:
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in batch:
                        copy.write_row(row)
