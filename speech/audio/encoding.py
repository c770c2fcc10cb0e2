"""Samples as a file of a format, piece by piece as they come."""

from io import BytesIO
from typing import Final, cast

import av
from av.audio.stream import AudioStream

from speech.audio.frames import frame_of
from speech.base import SAMPLE_BYTES, SAMPLE_RATE, AudioFormat

CODECS: Final[dict[AudioFormat, tuple[str, str]]] = {
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"),
}
"""Each format's container and codec, as FFmpeg calls them."""

TELL_LENGTH: Final = frozenset({"wav", "flac", "mp3"})
"""Formats that tell their length at their beginning."""

BIT_RATE: Final = 64_000
AT_ONCE: Final = {"flush_packets": "1"}
PAGE_MICROSECONDS: Final = "200000"
"""Of Ogg, which holds a second back by itself."""


class _Pipe:
    """What the container writes. It cannot go back in it, so a file says of its length that it is unknown."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._pending)
        self._pending.clear()
        return taken


class _File(BytesIO):
    """What the container writes, and mends at the end."""

    ended = False

    def take(self) -> bytes:
        return self.getvalue() if self.ended else b""


class Encoder:
    """Takes 16-bit samples of one channel, `rate` a second, and gives the file's bytes as soon as they are sure.

    A `whole` file tells its length, and is given at its end where the format has that at its beginning.
    """

    def __init__(self, format_: AudioFormat, *, whole: bool = False, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._odd = b""
        self._sink: _Pipe | _File = _File() if whole and format_ in TELL_LENGTH else _Pipe()
        self._stream: AudioStream | None = None
        if format_ != "pcm":
            container, codec = CODECS[format_]
            options = {**AT_ONCE, "page_duration": PAGE_MICROSECONDS} if format_ == "opus" else AT_ONCE
            self._container = av.open(self._sink, "w", format=container, container_options=options)
            self._stream = cast("AudioStream", self._container.add_stream(codec, rate=rate, layout="mono"))
            self._stream.bit_rate = BIT_RATE

    def add(self, pcm: bytes) -> bytes:
        """What can be sent now."""
        pcm = self._odd + pcm
        even = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._odd = pcm[even:]
        if self._stream is None:
            self._sink.write(pcm[:even])
        elif even:
            self._container.mux(self._stream.encode(frame_of(pcm[:even], self._rate)))
        return self._sink.take()

    def end(self) -> bytes:
        """The rest."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        if isinstance(self._sink, _File):
            self._sink.ended = True
        return self._sink.take()


def encoded(pcm: bytes, format_: AudioFormat, rate: int = SAMPLE_RATE) -> bytes:
    """A whole file."""
    encoder = Encoder(format_, whole=True, rate=rate)
    return encoder.add(pcm) + encoder.end()
