"""An encoder of samples to a file format, piece by piece."""

from io import BytesIO
from typing import Final, cast

import av
from av.audio.stream import AudioStream

from speech.audio.frames import frame_of
from speech.base import SAMPLE_BYTES, SAMPLE_RATE, AudioFormat

# FFmpeg's names of the container and the codec of each format.
CODECS: Final[dict[AudioFormat, tuple[str, str]]] = {
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"),
}

# These formats declare their length at the beginning of the file.
LENGTH_FIRST: Final = frozenset({"wav", "flac", "mp3"})

BIT_RATE: Final = 64_000
# Without this, FFmpeg buffers packets, and the client waits for audio that is ready.
UNBUFFERED: Final = {"flush_packets": "1"}
# By default, an Ogg page holds a second of audio back.
PAGE_MICROSECONDS: Final = "200000"


class _Pipe:
    """The output of a streamed file. The muxer cannot seek in it, so the file declares an unknown length."""

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
    """The output of a whole file. The muxer seeks back at the end to write the length."""

    ended = False

    def take(self) -> bytes:
        return self.getvalue() if self.ended else b""


class Encoder:
    """An encoder of 16-bit samples of one channel at `rate` Hz. It returns bytes as soon as they are final.

    A `whole` file declares its length. It is returned at its end if its format has the length at the beginning.
    """

    def __init__(self, format_: AudioFormat, *, whole: bool = False, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._odd = b""
        self._sink: _Pipe | _File = _File() if whole and format_ in LENGTH_FIRST else _Pipe()
        self._stream: AudioStream | None = None
        if format_ != "pcm":
            container, codec = CODECS[format_]
            options = {**UNBUFFERED, "page_duration": PAGE_MICROSECONDS} if format_ == "opus" else UNBUFFERED
            self._container = av.open(self._sink, "w", format=container, container_options=options)
            self._stream = cast("AudioStream", self._container.add_stream(codec, rate=rate, layout="mono"))
            self._stream.bit_rate = BIT_RATE

    def add(self, pcm: bytes) -> bytes:
        """Encode samples, and return the bytes that can be sent now."""
        # A piece may end inside a sample, so the odd byte waits for the next piece.
        pcm = self._odd + pcm
        even = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._odd = pcm[even:]
        if self._stream is None:
            self._sink.write(pcm[:even])
        elif even:
            self._container.mux(self._stream.encode(frame_of(pcm[:even], self._rate)))
        return self._sink.take()

    def end(self) -> bytes:
        """Finish the file, and return the remaining bytes."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        if isinstance(self._sink, _File):
            self._sink.ended = True
        return self._sink.take()


def encoded(pcm: bytes, format_: AudioFormat, rate: int = SAMPLE_RATE) -> bytes:
    """Return a whole file."""
    encoder = Encoder(format_, whole=True, rate=rate)
    return encoder.add(pcm) + encoder.end()
