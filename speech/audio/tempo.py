"""The change of speed at the same pitch (https://ffmpeg.org/ffmpeg-filters.html#atempo)."""

import math
from fractions import Fraction
from typing import Final

import av
from av.filter import Graph

from speech.audio.frames import frame_of, samples_of
from speech.base import SAMPLE_BYTES, SAMPLE_RATE

# A single `atempo` filter above this speed drops samples instead of blending them.
MAX_FILTER_SPEED: Final = 2.0


class Tempo:
    """A filter of 16-bit samples of one channel. At speed 1 it returns them unchanged."""

    def __init__(self, speed: float, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._odd = b""
        self._given = 0
        self._graph = None if math.isclose(speed, 1.0, abs_tol=1e-3) else _graph(speed, rate)

    def add(self, pcm: bytes) -> bytes:
        if self._graph is None:
            return pcm
        pcm = self._odd + pcm
        even = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._odd = pcm[even:]
        if not even:
            return b""
        frame = frame_of(pcm[:even], self._rate)
        frame.pts = self._given
        self._given += frame.samples
        self._graph.push(frame)
        return self._pull(self._graph)

    def end(self) -> bytes:
        if self._graph is None:
            return b""
        self._graph.push(None)
        return self._pull(self._graph)

    @staticmethod
    def _pull(graph: Graph) -> bytes:
        parts = []
        try:
            while True:
                frame = graph.pull()
                if isinstance(frame, av.AudioFrame):
                    parts.append(samples_of(frame))
        except (av.BlockingIOError, av.EOFError):
            return b"".join(parts)


def _graph(speed: float, rate: int) -> Graph:
    """Return a chain of as many filters as the speed needs, each with an equal share."""
    # The epsilon keeps exact powers of the limit, such as 4.0, from getting one filter too many by rounding.
    count = max(1, math.ceil(abs(math.log2(speed)) / math.log2(MAX_FILTER_SPEED) - 1e-9))
    share = speed ** (1 / count)
    graph = Graph()
    nodes = [
        graph.add_abuffer(format="s16", sample_rate=rate, layout="mono", time_base=Fraction(1, rate)),
        *(graph.add("atempo", f"{share:.6f}") for _ in range(count)),
        graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"),
        graph.add("abuffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph
