"""Log lines, one per event, as JSON or text, with their request, run and session.

No message text and no secret is logged at `info`.
"""

import json
import logging
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final

import msgspec

from tools import conf
from tools.output.masking import Masker

# What a record knows of its place, thread and process is in none of these lines, and costs as much as a line
# (https://docs.python.org/3/howto/logging.html#optimization).
logging._srcfile = None  # named by that page
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class _Masked:
    """A formatter that masks the service's secrets."""

    @cached_property
    def _masker(self) -> Masker:
        return conf.masker()

    def format(self, record: logging.LogRecord) -> str:
        line: str = super().format(record)  # type: ignore[misc]  # a formatter is beside it
        return self._masker.text(line)


request_id: ContextVar[str] = ContextVar("request_id", default="")

_encode = msgspec.json.Encoder(enc_hook=str).encode

# The prefix of each further line of a log entry, so that logged text cannot fake an entry.
FURTHER: Final = "    | "

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class _Json(logging.Formatter):
    """Time (UTC), level, logger and event, then the event's own fields, as JSON."""

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S%z")
        self._second, self._time = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        # Formatting a time costs more than the rest of the line, so it is done once a second.
        if int(record.created) != self._second:
            self._second, self._time = int(record.created), self.formatTime(record, self.datefmt)
        fields: dict[str, Any] = {
            "time": self._time,
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields.update((name, value) for name, value in record.__dict__.items() if name not in _STANDARD)
        if request_id.get():
            fields["request_id"] = request_id.get()
        if record.exc_info:
            fields["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack_info"] = self.formatStack(record.stack_info)
        try:
            return _encode(fields).decode()
        except UnicodeEncodeError:  # half of a surrogate pair
            return json.dumps(fields, default=str)


class JsonLines(_Masked, _Json):
    """One JSON object per line, without characters that move a cursor, end the line or are markup."""

    def format(self, record: logging.LogRecord) -> str:
        return _harmless(super().format(record))


class TextLines(_Masked, logging.Formatter):
    """One readable line: time, level, event, and fields as `name=value`; a traceback follows, prefixed."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if request_id.get():
            fields["request_id"] = request_id.get()
        texts = {name: str(value) for name, value in fields.items()}
        # A quoted value cannot end its line, look like another field, or control a terminal.
        pairs = [f"{name}={t if t.isprintable() and ' ' not in t else repr(t)}" for name, t in texts.items()]
        return _harmless(" ".join([super().formatMessage(record), *pairs]))

    def format(self, record: logging.LogRecord) -> str:
        first, *further = super().format(record).split("\n")
        return "\n".join([first, *(FURTHER + _harmless(line) for line in further)])


def _harmless(line: str) -> str:
    """Return the line with JSON escapes for invisible characters and for the start of markup."""
    if line.isprintable() and "<" not in line:
        return line
    # Viewers of logs render markup, and terminals obey control characters.
    escaped = (c if c.isprintable() else json.dumps(c)[1:-1] for c in line.replace("<", "\\u003c"))
    return "".join(escaped)


class WithoutPeerFaults(logging.Filter):
    """Drops what uvicorn logs about malformed input. Any stranger could fill the log with it."""

    FAULTS: Final = (
        "Invalid HTTP request received.",
        "Invalid UTF-8 sequence received",
        "Unsupported upgrade request.",
    )

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self.FAULTS)


class WithoutRefusalTracebacks(logging.Filter):
    """Drops the traceback of a request that Django refused (4xx). Any stranger could fill the log with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = None
        return True
