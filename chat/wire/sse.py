"""Server-sent events (WHATWG HTML, section 9.2): one frame an event, with `id` and `data` alone."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chat.engine.events import Event

CONTENT_TYPE: Final = "text/event-stream"
PING: Final = b": ping\n\n"
TOKEN: Final = b'id: %d\ndata: {"type":"token","token":"%b"}\n\n'
END_OF_FRAME: Final = b"\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def frame(number: int, event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (number, _encode(event))


def token_frames(first: int, pieces: Sequence[bytes]) -> bytes:
    """Frames of `token` events numbered from `first`, from pieces of a JSON string literal."""
    if len(pieces) == 1:
        return TOKEN % (first, pieces[0])
    return b"".join([TOKEN % pair for pair in enumerate(pieces, first)])


def skip(frames: bytes, count: int) -> bytes:
    """The frames without their first `count`."""
    start = 0
    for _ in range(count):
        start = frames.index(END_OF_FRAME, start) + len(END_OF_FRAME)
    return frames[start:]


def events(frames: bytes) -> list[Event]:
    """The events of whole frames. Raises `msgspec.DecodeError` for what `frame` did not write."""
    return [_decode(part[part.index(b"\ndata: ") + 7 :]) for part in frames.split(END_OF_FRAME) if part]


class Splitter:
    """Cuts a stream of bytes, however it is segmented, into the data of its events.

    Lines end at LF, CRLF or CR and nowhere else; comments and fields other than `data` are passed over. Raises
    `ValueError` when one event has more than `most` bytes.
    """

    def __init__(self, most: int = 8 * 2**20) -> None:
        self._most = most
        self._rest = b""

    def feed(self, segment: bytes) -> list[bytes]:
        """The data of the events that are complete now."""
        return datas(self.whole(segment))

    def whole(self, segment: bytes) -> bytes:
        """The events that are complete now, as they came but for their lines, which all end at LF."""
        buffer = self._rest + segment if self._rest else segment
        held = b""
        if buffer.endswith(END_OF_FRAME) and b"\r" not in buffer:
            self._rest = b""
            return buffer
        if b"\r" in buffer:
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = buffer.rfind(END_OF_FRAME) + len(END_OF_FRAME)
        if end < len(END_OF_FRAME):
            end = 0
        self._rest = buffer[end:] + held
        if len(self._rest) > self._most:
            raise ValueError(f"an event is longer than {self._most} bytes")
        return buffer[:end]

    def end(self) -> list[bytes]:
        """The data of a last event that no blank line ended, as lenient services send it."""
        rest, self._rest = self._rest, b""
        return datas(rest.replace(b"\r", b"\n"))


def datas(events: bytes) -> list[bytes]:
    """The data of each of the events, whose lines end at LF."""
    return [data for block in events.split(END_OF_FRAME) if (data := _data(block)) is not None]


def _data(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
