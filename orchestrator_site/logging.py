"""Log lines: one an event, as JSON or as text, with the request, run and session that they belong to.

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

# What a record knows of its place, thread and process stands in no line of ours, and costs as much as a line
# (https://docs.python.org/3/howto/logging.html#optimization).
logging._srcfile = None  # named by that page
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class _Masked:
    """A formatter whose lines hold none of the service's secrets."""

    @cached_property
    def _masker(self) -> Masker:
        return conf.masker()

    def format(self, record: logging.LogRecord) -> str:
        line: str = super().format(record)  # type: ignore[misc]  # a formatter is beside it
        return self._masker.text(line)


request_id: ContextVar[str] = ContextVar("request_id", default="")

_encode = msgspec.json.Encoder(enc_hook=str).encode

FURTHER: Final = "    | "
"""Before each line that is not the first of what is logged, so that nobody can make one up."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class _Json(logging.Formatter):
    """Time (UTC), level, logger and event, then the event's own fields, as JSON."""

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S%z")
        self._second, self._time = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": self._at(record),
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

    def _at(self, record: logging.LogRecord) -> str:
        """The second of the record, written out once for all of its lines."""
        if int(record.created) != self._second:
            self._second, self._time = int(record.created), self.formatTime(record, self.datefmt)
        return self._time


class JsonLines(_Masked, _Json):
    """One JSON object a line, in which nothing moves a cursor, ends the line, or is markup to what shows it."""

    def format(self, record: logging.LogRecord) -> str:
        return _harmless(super().format(record))


class TextLines(_Masked, logging.Formatter):
    """One readable line: time, level, event, and its fields as `name=value`; below it a traceback, marked as such."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if request_id.get():
            fields["request_id"] = request_id.get()
        told = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        return _harmless(f"{super().formatMessage(record)} {told}".rstrip())

    def format(self, record: logging.LogRecord) -> str:
        first, *further = super().format(record).split("\n")
        return "\n".join([first, *(FURTHER + _harmless(line) for line in further)])


def _harmless(line: str) -> str:
    """The line with escapes of JSON for all that is not to be seen, and for the beginning of markup."""
    return line if line.isprintable() and "<" not in line else "".join(map(_escaped, line))


def _escaped(character: str) -> str:
    if character == "<":
        return "\\u003c"
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _plain(value: object) -> str:
    """A value that can't end its line, nor draw on a terminal."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
