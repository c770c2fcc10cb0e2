"""The conversion between samples and PyAV frames."""

from av.audio.frame import AudioFrame

from speech.base import SAMPLE_BYTES


def frame_of(pcm: bytes, rate: int) -> AudioFrame:
    """Return a frame of 16-bit samples of one channel."""
    # `AudioFrame.from_ndarray` would need NumPy, which is installed only with the local models.
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE_BYTES)
    plane = frame.planes[0]
    # A plane is padded for alignment, and `update` accepts only its full size.
    plane.update(pcm + bytes(plane.buffer_size - len(pcm)))
    frame.sample_rate = rate
    return frame


def samples_of(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]
