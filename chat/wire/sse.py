"""Server-sent events (WHATWG HTML, section 9.2). Each event is one frame, which only has `id` and `data`."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from chat.engine.events import Event

CONTENT_TYPE: Final = "text/event-stream"
PING: Final = b": ping\n\n"
TOKEN: Final = b'id: %d\ndata: {"type":"token","token":"%b"}\n\n'
END_OF_FRAME: Final = b"\n\n"
# A literal has no unescaped quotation mark, so nothing in a text can look like the field.
TOKEN_TEXT: Final = re.compile(rb'"token":"((?:[^"\\]++|\\.)*+)"\}\n\n')
TOKENS: Final = re.compile(
    rb'(?:id: \d+\ndata: \{"type":"token",' + TOKEN_TEXT.pattern.replace(b"((", b"(?:(") + rb")+"
)
REASONING: Final = re.compile(rb'(\ndata: {"type":"reasoning","text":")(?:[^"\\]|\\.)*')

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def frame(number: int, event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (number, _encode(event))


def token_frames(first: int, pieces: Sequence[bytes]) -> bytes:
    """Return frames of `token` events numbered from `first`, from pieces of a JSON string literal."""
    if len(pieces) == 1:
        return TOKEN % (first, pieces[0])
    return b"".join([TOKEN % pair for pair in enumerate(pieces, first)])


def skip(frames: bytes, count: int) -> bytes:
    """Return the frames without the first `count` ones."""
    start = 0
    for _ in range(count):
        start = frames.index(END_OF_FRAME, start) + len(END_OF_FRAME)
    return frames[start:]


def without_reasoning(frames: bytes) -> bytes:
    """Return complete frames with an empty text in each `reasoning` event. Their numbers stay."""
    return REASONING.sub(rb"\1", frames)


def events(frames: bytes) -> list[Event]:
    """Return the events of complete frames. Raise `msgspec.DecodeError` if `frame` did not write them."""
    return [_decode(part[part.index(b"\ndata: ") + 7 :]) for part in frames.split(END_OF_FRAME) if part]


def stretches(frames: bytes) -> Iterator[bytes | Event]:
    """Yield the events of complete frames. Consecutive tokens stay one stretch of frames."""
    # Most frames are tokens, and other protocols take the text of a token as it is. A stretch is rewritten at once.
    place = 0
    while place < len(frames):
        tokens = TOKENS.match(frames, place)
        if tokens is not None:
            place = tokens.end()
            yield tokens[0]
        else:
            end = frames.index(END_OF_FRAME, place)
            yield from events(frames[place:end])
            place = end + len(END_OF_FRAME)


def literals(stretch: bytes) -> list[bytes]:
    """Return the text of each token of a stretch, as a JSON string literal without quotation marks."""
    return TOKEN_TEXT.findall(stretch)


class Splitter:
    """Cuts a stream of bytes, however it is segmented, into the data of its events.

    Comments and fields other than `data` are skipped. `waiting` has the bytes of an event that is not complete. Methods
    raise `ValueError` if an event has more than `max_bytes`.
    """

    # Lines end at LF, CRLF or CR only. `str.splitlines` would also cut at U+2028 and others, which may be part of data.

    def __init__(self, max_bytes: int = 8 * 2**20) -> None:
        self._max_bytes = max_bytes
        self.waiting = b""

    def feed(self, segment: bytes) -> list[bytes]:
        """Return the data of the events that are complete now."""
        return datas(self.whole(segment))

    def whole(self, segment: bytes) -> bytes:
        """Return the events that are complete now. All lines end at LF; the bytes are unchanged otherwise."""
        buffer = self.waiting + segment if self.waiting else segment
        held = b""
        # Almost every segment of a real service ends with its last event.
        if buffer.endswith(END_OF_FRAME) and b"\r" not in buffer:
            self.waiting = b""
            return buffer
        if b"\r" in buffer:
            # A CR at the end may be the first half of a CRLF.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = buffer.rfind(END_OF_FRAME) + len(END_OF_FRAME)
        if end < len(END_OF_FRAME):
            end = 0
        self.waiting = buffer[end:] + held
        if len(self.waiting) > self._max_bytes:
            raise ValueError(f"an event is longer than {self._max_bytes} bytes")
        return buffer[:end]

    def first_line(self) -> bytes:
        """Return the first waiting line of data, without its end, if another line of data follows it."""
        line, end, following = self.waiting.partition(b"\n")
        return line if end and line.startswith(b"data:") and following.startswith(b"data:") else b""

    def drop_line(self) -> None:
        """Forget the first waiting line."""
        self.waiting = self.waiting.partition(b"\n")[2]

    def rest(self) -> bytes:
        """Return a last event without a blank line after it, which some services leave out. Its lines end at LF."""
        rest, self.waiting = self.waiting, b""
        return rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def datas(events: bytes) -> list[bytes]:
    """Return the data of each event. The lines of the events end at LF."""
    return [data for block in events.split(END_OF_FRAME) if (data := _data(block)) is not None]


def _data(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
