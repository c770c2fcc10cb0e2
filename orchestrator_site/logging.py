"""Log lines: one an event, as JSON or as text, with the request, run and session that they belong to.

No message text and no secret is logged at `info`.
"""

import json
import logging
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final

from pythonjsonlogger.msgspec import MsgspecFormatter

from tools import conf
from tools.masking import Masker

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

FURTHER: Final = "    | "
"""Before each line that is not the first of what is logged, so that nobody can make one up."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(_Masked, MsgspecFormatter):
    """One JSON object a line, in which nothing moves a cursor, ends the line, or is markup to what shows it."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "message": "event"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        if request_id.get():
            log_data["request_id"] = request_id.get()
        log_data.pop("color_message", None)

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
