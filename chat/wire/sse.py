"""Server-sent events, as the WHATWG HTML standard (section 9.2) defines them: one frame an event, `id` and `data` alone."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chat.engine.events import Event

CONTENT_TYPE: Final = "text/event-stream"
PING: Final = b": ping\n\n"
END_OF_FRAME: Final = b"\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def frame(number: int, event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (number, _encode(event))


def token_frames(first: int, pieces: Sequence[bytes]) -> bytes:
    """Frames of `token` events numbered from `first`, from pieces of a JSON string literal."""
    return b"".join(
        [b'id: %d\ndata: {"type":"token","token":"%b"}\n\n' % pair for pair in enumerate(pieces, first)]
    )


def skip(frames: bytes, count: int) -> bytes:
    """The frames without their first `count`."""
    start = 0
    for _ in range(count):
        start = frames.index(END_OF_FRAME, start) + len(END_OF_FRAME)
    return frames[start:]


def events(frames: bytes) -> list[Event]:
    """The events of whole frames. Raises `msgspec.DecodeError` for what `frame` did not write."""
    return [_decode(part[part.index(b"\ndata: ") + 7 :]) for part in frames.split(END_OF_FRAME) if part]
