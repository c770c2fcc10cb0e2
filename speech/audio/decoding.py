"""Audio in any of the kinds, as samples: block by block, and no further than a limit.

The demuxer is chosen by what the bytes are, and is given bytes alone: it opens no file and no address that they name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from speech.audio.detection import kind_of
from speech.audio.limits import (
    MAX_BAD_PACKETS,
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    MISSING_PART,
    MISSING_SECONDS,
)
from speech.audio.mp3 import HEAD_BYTES, frame_bytes
from speech.audio.truncation import missing_bytes, tells_duration
from speech.base import SAMPLE_BYTES, SAMPLE_RATE, AudioKind, SpeechError

DEMUXERS: Final[dict[AudioKind, str]] = {
    "wav": "wav",
    "mp3": "mp3",
    "flac": "flac",
    "ogg": "ogg",
    "aac": "aac",
    "webm": "matroska",
    "mp4": "mov",
    "pcm": "s16le",
}
OPTIONS: Final[dict[AudioKind, dict[str, str]]] = {"pcm": {"sample_rate": str(SAMPLE_RATE), "ch_layout": "mono"}}
TRUNCATED: Final = "send the whole file"


class Decoder:
    """The samples of audio: 16 bits, one channel, `rate` a second. `seconds` is how much was decoded so far."""

    def __init__(self, audio: bytes, said: AudioKind | None, *, rate: int, max_seconds: float) -> None:
        self.kind = kind_of(audio, said)
        self.seconds = 0.0
        self._audio = audio
        self._rate = rate
        self._max_seconds = max_seconds
        self._packets = 0
        self._bad = 0
        self._last_is_cut = False

    def blocks(self) -> Iterator[bytes]:
        """Raises `SpeechError`: `invalid_audio` for what is damaged or cut off, `audio_too_long`."""
        if missing := missing_bytes(self._audio, self.kind):
            raise self._invalid(f"is cut off: {missing} bytes or more are missing; {TRUNCATED}")
        with self._opened() as container:
            stream = self._stream(container)
            resampler = AudioResampler(format="s16", layout="mono", rate=self._rate)
            for packet in container.demux(stream):
                for frame in self._decoded(packet):
                    yield from self._samples(resampler, frame)
            yield from self._samples(resampler, None)
            self._check_end(container)

    @contextmanager
    def _opened(self) -> Iterator[InputContainer]:
        try:
            with av.open(
                BytesIO(self._audio), "r", format=DEMUXERS[self.kind], options=OPTIONS.get(self.kind)
            ) as container:
                yield container
        except av.FFmpegError as error:
            raise self._invalid(f"cannot be read ({error.strerror}): it is damaged or cut off") from error

    def _stream(self, container: InputContainer) -> AudioStream:
        if not container.streams.audio:
            raise self._invalid("has no audio in it")
        stream = container.streams.audio[0]
        channels, rate = stream.codec_context.channels, stream.codec_context.sample_rate
        if not channels or not rate:
            raise self._invalid("cannot be read (its first frame is not whole): it is damaged or cut off")
        if channels > MAX_CHANNELS or not MIN_RATE <= rate <= MAX_RATE:
            raise self._invalid(
                f"has {channels} channels of {rate} samples a second: valid are 1 to {MAX_CHANNELS} channels, and "
                f"{MIN_RATE} to {MAX_RATE} samples a second"
            )
        return stream

    def _decoded(self, packet: "Packet[AudioStream]") -> list[AudioFrame]:
        self._packets += 1
        frames: list[Any] = []
        try:
            frames = list(packet.decode())
        except av.InvalidDataError:
            self._bad += 1
        if packet.size:
            self._last_is_cut = self._is_cut(bytes(packet), heard=bool(frames))
        return frames

    def _is_cut(self, packet: bytes, *, heard: bool) -> bool:
        """Whether a packet is a part of a frame. Tags may follow the last one of MP3; its decoder takes parts."""
        if self.kind == "mp3":
            return len(packet) < frame_bytes(packet[:HEAD_BYTES])
        return not heard and self._bad > 0

    def _samples(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[bytes]:
        for resampled in resampler.resample(frame):
            self.seconds += resampled.samples / self._rate
            if self.seconds > self._max_seconds:
                raise SpeechError(
                    f"The audio is longer than {self._max_seconds:g} s (SPEECH_MAX_AUDIO_SECONDS): send it in parts.",
                    code="audio_too_long",
                )
            yield bytes(resampled.planes[0])[: resampled.samples * SAMPLE_BYTES]

    def _check_end(self, container: InputContainer) -> None:
        if self._last_is_cut:
            raise self._invalid(f"is cut off after {self.seconds:.2f} s: {TRUNCATED}")
        if self._bad > max(1, self._packets * MAX_BAD_PACKETS):
            raise self._invalid(f"is damaged: {self._bad} of its {self._packets} packets cannot be decoded")
        if not self.seconds:
            raise self._invalid("holds no sample")
        declared = (container.duration or 0) / av.time_base
        if tells_duration(self._audio, self.kind) and self.seconds < declared * (1 - MISSING_PART) - MISSING_SECONDS:
            raise self._invalid(
                f"is cut off: it says {declared:.2f} s, and {self.seconds:.2f} s are there; {TRUNCATED}"
            )

    def _invalid(self, what: str) -> SpeechError:
        return SpeechError(f"The audio ({self.kind}, {len(self._audio)} bytes) {what}.", code="invalid_audio")
