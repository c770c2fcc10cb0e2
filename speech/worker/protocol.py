"""The messages between the service and a worker: MessagePack with a length prefix, on standard input and output."""

import struct
from typing import BinaryIO, Final

import msgspec

from speech.base import AudioFormat, AudioKind, ErrorCode, Segment

LENGTH: Final = struct.Struct(">I")
# The largest message. A length beyond this means that the stream is corrupt.
MAX_BYTES: Final = 256 * 2**20


class Transcribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: transcribe with the local model."""

    audio: bytes
    kind: AudioKind
    max_seconds: float


class Check(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: decode a recording to check and measure it, and return it in FLAC pieces if `piece_seconds` is set."""

    audio: bytes
    kind: AudioKind
    max_seconds: float
    piece_seconds: float | None


class Synthesize(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: synthesize a text with the local voice."""

    text: str
    voice: str
    format: AudioFormat
    speed: float
    whole: bool


class Stop(msgspec.Struct, frozen=True, tag=True):
    """A command: stop the current task, because no client waits for it."""


class Transcribed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer to `Transcribe`."""

    segments: tuple[Segment, ...]
    seconds: float


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer to `Check`."""

    seconds: float


class AudioPiece(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A piece of the checked recording: a FLAC file of 16 kHz."""

    audio: bytes
    start: float
    seconds: float


class AudioChunk(msgspec.Struct, frozen=True, tag=True):
    """A piece of the synthesized audio, in the requested format."""

    audio: bytes


class Done(msgspec.Struct, frozen=True, tag=True):
    """The last answer to `Synthesize`, or to a stopped task."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer to a task that failed. A `fault` of the worker itself is the traceback, for the log."""

    error: str
    code: ErrorCode
    fault: str = ""


Task = Transcribe | Check | Synthesize
Command = Task | Stop
Answer = Transcribed | Checked | AudioPiece | AudioChunk | Done | Failed
# Each task ends with exactly one of these answers.
LAST: Final = (Transcribed, Checked, Done, Failed)

_encoder: Final = msgspec.msgpack.Encoder()
_commands: Final = msgspec.msgpack.Decoder(Command)
_answers: Final = msgspec.msgpack.Decoder(Answer)


def send(file: BinaryIO, message: Command | Answer) -> None:
    """Write a message. Raises `OSError` if the other end is closed."""
    data = _encoder.encode(message)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def read_command(file: BinaryIO) -> Command | None:
    """Return the next command, or None at the end."""
    data = _read(file)
    return None if data is None else _commands.decode(data)


def read_answer(file: BinaryIO) -> Answer | None:
    """Return the next answer, or None at the end."""
    data = _read(file)
    return None if data is None else _answers.decode(data)


def _read(file: BinaryIO) -> bytes | None:
    prefix = _exactly(file, LENGTH.size)
    if prefix is None:
        return None
    (size,) = LENGTH.unpack(prefix)
    return _exactly(file, size) if size <= MAX_BYTES else None


def _exactly(file: BinaryIO, size: int) -> bytes | None:
    """Return `size` bytes, or None if the file ends before."""
    # An unbuffered pipe returns what has arrived, which may be less than requested.
    data = bytearray()
    while len(data) < size:
        part = file.read(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
