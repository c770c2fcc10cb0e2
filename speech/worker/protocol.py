"""What a worker is told and what it answers, as length-prefixed MessagePack on its standard input and output."""

import struct
from typing import BinaryIO, Final

import msgspec

from speech.base import AudioFormat, AudioKind, ErrorCode, Segment

LENGTH: Final = struct.Struct(">I")
MAX_BYTES: Final = 256 * 2**20
"""Of one message."""


class Transcribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Transcribe with the local model."""

    audio: bytes
    kind: AudioKind
    max_seconds: float


class Check(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Decode, to see that it is whole and how long it is; and give it in FLAC pieces of at most so many seconds."""

    audio: bytes
    kind: AudioKind
    max_seconds: float
    piece_seconds: float | None


class Synthesize(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Say the text with the local voice."""

    text: str
    voice: str
    format: AudioFormat
    speed: float
    whole: bool


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for the job that is being done."""


class Transcribed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The end of `Transcribe`."""

    segments: tuple[Segment, ...]
    seconds: float


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The end of `Check`."""

    seconds: float


class AudioPiece(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A piece of what is checked: a FLAC file of 16 kHz."""

    audio: bytes
    start: float
    seconds: float


class AudioChunk(msgspec.Struct, frozen=True, tag=True):
    """A piece of what is being said, in the wanted format."""

    audio: bytes


class Done(msgspec.Struct, frozen=True, tag=True):
    """The end of `Synthesize`, or of whatever was stopped."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The end of what could not be done."""

    error: str
    code: ErrorCode


Task = Transcribe | Check | Synthesize
Command = Task | Stop
Answer = Transcribed | Checked | AudioPiece | AudioChunk | Done | Failed
LAST: Final = (Transcribed, Checked, Done, Failed)
"""The answers with which a task ends."""

_encoder: Final = msgspec.msgpack.Encoder()
_orders: Final = msgspec.msgpack.Decoder(Command)
_answers: Final = msgspec.msgpack.Decoder(Answer)


def send(file: BinaryIO, message: Command | Answer) -> None:
    """Raises `OSError` where nobody reads."""
    data = _encoder.encode(message)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def read_command(file: BinaryIO) -> Command | None:
    """The next one, or None at the end."""
    data = _read(file)
    return None if data is None else _orders.decode(data)


def read_answer(file: BinaryIO) -> Answer | None:
    """The next one, or None at the end."""
    data = _read(file)
    return None if data is None else _answers.decode(data)


def _read(file: BinaryIO) -> bytes | None:
    head = _exactly(file, LENGTH.size)
    if head is None:
        return None
    (size,) = LENGTH.unpack(head)
    return _exactly(file, size) if size <= MAX_BYTES else None


def _exactly(file: BinaryIO, size: int) -> bytes | None:
    """So many bytes, also of a file without a buffer, which gives fewer at a time; None where it ends before."""
    data = bytearray()
    while len(data) < size:
        part = file.read(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
