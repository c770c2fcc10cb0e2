"""Samples as PyAV's frames, without NumPy."""

from av.audio.frame import AudioFrame

from speech.base import SAMPLE_BYTES


def frame_of(pcm: bytes, rate: int) -> AudioFrame:
    """A frame of 16-bit samples of one channel."""
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE_BYTES)
    plane = frame.planes[0]
    plane.update(pcm + bytes(plane.buffer_size - len(pcm)))
    frame.sample_rate = rate
    return frame


def samples_of(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]
