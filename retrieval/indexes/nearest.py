"""The comparison of vectors in this process, for databases without an operator for it."""

from collections.abc import Iterable, Sequence
from typing import Final

MIN_SIMILARITY: Final = 0.15 * 127 * 127
"""The smallest product of two vectors of bytes that have something in common: their cosine is 0.15."""

ROWS_AT_ONCE: Final = 16_384
"""Vectors that are compared at once, which bounds the memory."""

Group = tuple[Sequence[int], bytes]
"""Some pieces, and their vectors one after the other."""


def nearest_of(groups: Iterable[Group], vector: bytes, limit: int) -> list[int]:
    """Return the pieces whose vectors are nearest to a vector, the best first."""
    import numpy as np  # noqa: PLC0415 - comes with the model

    query = np.frombuffer(vector, dtype=np.int8).astype(np.float32)
    best: list[tuple[float, int]] = []
    for pieces, data in groups:
        rows = np.frombuffer(data, dtype=np.int8).reshape(-1, len(vector)).astype(np.float32)
        scores = rows @ query
        count = min(limit, len(scores))
        nearest = np.argpartition(-scores, count - 1)[:count]
        best += [(float(scores[at]), pieces[at]) for at in nearest if scores[at] >= MIN_SIMILARITY]
        best = sorted(best, reverse=True)[:limit]
    return [piece for _, piece in best]
