"""A decoder of all supported kinds of audio to samples, in blocks and up to a limit."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, cast

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
from speech.audio.mp3 import HEADER_BYTES, frame_bytes
from speech.audio.truncation import declares_duration, missing_bytes
from speech.base import SAMPLE_BYTES, SAMPLE_RATE, AudioKind, SpeechError

DEMUXERS: Final[dict[AudioKind, str]] = {
    "wav": "wav",
    "mp3": "mp3",
    "flac": "flac",
    "ogg": "ogg",
    "aac": "aac",
    "webm": "matroska",
    "mp4": "mov",
    "mp2": "mp3",
    "ac3": "ac3",
    "eac3": "eac3",
    "amr": "amr",
    "aiff": "aiff",
    "au": "au",
    "caf": "caf",
    "wma": "asf",
    "pcm": "s16le",
}
# Bare samples have no header, so the demuxer needs their rate and channels.
OPTIONS: Final[dict[AudioKind, dict[str, str]]] = {"pcm": {"sample_rate": str(SAMPLE_RATE), "ch_layout": "mono"}}
SEND_ALL: Final = "send the whole file"


class Decoder:
    """A decoder to 16-bit samples of one channel at `rate` Hz. `seconds` is the length decoded so far."""

    def __init__(self, audio: bytes, declared: AudioKind | None, *, rate: int, max_seconds: float) -> None:
        self.kind = kind_of(audio, declared)
        self.seconds = 0.0
        self._audio = audio
        self._rate = rate
        self._max_seconds = max_seconds
        self._packets = 0
        self._bad = 0
        self._last_is_cut = False

    def blocks(self) -> Iterator[bytes]:
        """Yield the samples. Raises `SpeechError` (`audio_too_long`; `invalid_audio` if damaged or truncated)."""
        # FFmpeg decodes a truncated file without an error, so the sizes in the container are checked first.
        if missing := missing_bytes(self._audio, self.kind):
            raise self._invalid(f"is cut off: {missing} or more bytes are missing; {SEND_ALL}")
        # The demuxer is chosen by the signature and reads from memory. FFmpeg would otherwise also recognise playlists,
        # which make it open the files and addresses that they name.
        source, demuxer, options = BytesIO(self._audio), DEMUXERS[self.kind], OPTIONS.get(self.kind)
        try:
            # Tags may be in any encoding, and are not read.
            with av.open(source, "r", format=demuxer, options=options, metadata_errors="ignore") as container:
                stream = self._stream(container)
                resampler = AudioResampler(format="s16", layout="mono", rate=self._rate)
                for packet in container.demux(stream):
                    for frame in self._decoded(packet):
                        yield from self._samples(resampler, frame)
                # The resampler holds back its last samples until it is flushed with None.
                yield from self._samples(resampler, None)
                self._check_end(container)
        except av.FFmpegError as error:
            raise self._invalid(f"cannot be read ({error.strerror}): it is damaged or cut off") from error
        except (ValueError, AttributeError) as error:
            # PyAV raises these where a file changes its format, or where FFmpeg has no decoder for its codec.
            raise self._invalid("cannot be read: it is damaged, or its codec is not supported") from error

    def _stream(self, container: InputContainer) -> AudioStream:
        if not container.streams.audio:
            raise self._invalid("has no audio stream")
        stream = container.streams.audio[0]
        # PyAV declares a context, but has none for an unknown codec.
        if (context := cast("Any", stream.codec_context)) is None:
            raise self._invalid("has a codec that is not supported")
        channels, rate = context.channels, context.sample_rate
        if not channels or not rate:
            raise self._invalid("cannot be read (its first frame is not whole): it is damaged or cut off")
        if channels > MAX_CHANNELS or not MIN_RATE <= rate <= MAX_RATE:
            raise self._invalid(
                f"has {rate} samples a second for each of its channels ({channels}). "
                f"Valid: 1 to {MAX_CHANNELS} channels and {MIN_RATE} to {MAX_RATE} samples a second"
            )
        return stream

    def _decoded(self, packet: "Packet[AudioStream]") -> list[AudioFrame]:
        self._packets += 1
        frames: list[Any] = []
        try:
            frames = list(packet.decode())
        except av.InvalidDataError:
            # Counted instead of raised: a few damaged packets leave the rest intelligible.
            self._bad += 1
        # Only the last packet that has data can be truncated by a cut; the flushing packet is empty.
        if packet.size and self.kind == "mp3":
            # The MP3 decoder accepts a part of a frame without an error. A tag after the last frame has no header.
            data = bytes(packet)
            self._last_is_cut = len(data) < frame_bytes(data[:HEADER_BYTES])
        elif packet.size:
            self._last_is_cut = not frames and self._bad > 0
        return frames

    def _samples(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[bytes]:
        for resampled in resampler.resample(frame):
            self.seconds += resampled.samples / self._rate
            # Checked on the decoded samples, because a container can declare any length.
            if self.seconds > self._max_seconds:
                raise SpeechError(
                    f"The audio is longer than {self._max_seconds:g} s (SPEECH_MAX_AUDIO_SECONDS). Send it in parts.",
                    code="audio_too_long",
                )
            # Planes are padded for alignment.
            yield bytes(resampled.planes[0])[: resampled.samples * SAMPLE_BYTES]

    def _check_end(self, container: InputContainer) -> None:
        if self._last_is_cut:
            raise self._invalid(f"is cut off after {self.seconds:.2f} s: {SEND_ALL}")
        if self._bad > max(1, self._packets * MAX_BAD_PACKETS):
            raise self._invalid(f"is damaged: {self._bad} of its {self._packets} packets cannot be decoded")
        if not self.seconds:
            raise self._invalid("has no samples")
        declared = (container.duration or 0) / av.time_base
        if declares_duration(self._audio, self.kind) and self.seconds < declared * (1 - MISSING_PART) - MISSING_SECONDS:
            raise self._invalid(f"is cut off: it declares {declared:.2f} s and has {self.seconds:.2f} s; {SEND_ALL}")

    def _invalid(self, problem: str) -> SpeechError:
        return SpeechError(f"The audio ({self.kind}, bytes: {len(self._audio)}) {problem}.", code="invalid_audio")
