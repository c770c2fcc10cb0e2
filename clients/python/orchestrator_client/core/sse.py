"""Server-sent events, as the HTML standard parses them (WHATWG HTML, section 9.2.6).

The fields `event` and `retry` are skipped: the service sends neither, and the waits before new attempts are the
client's own.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from orchestrator_client.core.errors import ProtocolError
from orchestrator_client.core.events import Event, Start, decode

MAX_EVENT_BYTES: Final = 8 * 2**20
MAX_ID_DIGITS: Final = 10
LINE_END: Final = re.compile(rb"\r\n|\r|\n")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Message(msgspec.Struct, frozen=True):
    """One event of a stream: its data, and its id, which is empty if none was sent."""

    id: bytes
    data: bytes


class Parser:
    """Reads the events of a stream, however its bytes are segmented."""

    # Lines end at LF, CRLF or CR only. `bytes.splitlines` agrees, but keeps no half of a line apart.

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._id = b""
        self._is_first_line = True
        self._skips_line_feed = False

    def feed(self, segment: bytes) -> Iterator[Message]:
        """Yield the events that are complete now. Raise `ProtocolError` if one is longer than the limit."""
        if self._skips_line_feed and segment:
            segment = segment.removeprefix(b"\n")
            self._skips_line_feed = False
        self._skips_line_feed |= segment.endswith(b"\r")
        *ended, rest = LINE_END.split(segment)
        for part in ended:
            self._line += part
            line = bytes(self._line)
            self._line.clear()
            if self._is_first_line:
                line, self._is_first_line = line.removeprefix(BYTE_ORDER_MARK), False
            if line:
                self._field(line)
            elif self._data:
                message = Message(self._id, b"\n".join(self._data))
                self._id, self._data, self._size = b"", [], 0
                yield message
        self._line += rest
        self._check_size()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            self._check_size()
        elif name == b"id" and b"\0" not in value:
            self._id = value

    def _check_size(self) -> None:
        if self._size + len(self._line) > self._max_bytes:
            raise ProtocolError(
                f"The service sent an event of more than {self._max_bytes:,} bytes, which is the limit."
            )


class EventReader:
    """Reads a run's events from the bytes of its stream. `last` is the number of the newest one."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._parser = Parser()

    def feed(self, segment: bytes) -> Iterator[Event]:
        """Yield the events that are complete now, each once. Raise `ProtocolError` if the bytes are not events."""
        for message in self._parser.feed(segment):
            try:
                event = decode(message.data)
            except ValueError as error:
                raise ProtocolError(f"The service sent an invalid event: {error}.") from None
            if not message.id.isdigit() or len(message.id) > MAX_ID_DIGITS:
                yield event
                continue
            number = int(message.id)
            # A rebuilt log begins again at 1.
            if number > self.last or (isinstance(event, Start) and event.rebuilt):
                self.last = number
                yield event

    def reconnect(self) -> None:
        """Drop the part of an unfinished event, which is sent again after the connection broke."""
        self._parser = Parser()
