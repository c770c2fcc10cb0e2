"""The ranking of pieces: by words (BM25 of FTS5), by vectors (cosine), and both fused by reciprocal rank.

Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009. The ranking by words counts less for a piece that has
few of them. Otherwise it would spoil the answers to questions in other words, which vectors find.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from retrieval.index_file import IndexFile
from retrieval.limits import MAX_CANDIDATES, MAX_PIECES_PER_FILE, MAX_QUERY_WORDS

RANK_CONSTANT: Final = 20
"""The constant of the fusion. The paper's 60 finds fewer answers to paraphrases in `benchmarks.retrieval`."""

MIN_SIMILARITY: Final = 0.15 * 127 * 127
"""The smallest product of two vectors of bytes that have something in common: their cosine is 0.15."""

PATH_WEIGHT: Final = 1.0
TITLE_WEIGHT: Final = 2.0
TEXT_WEIGHT: Final = 1.0
WORD: Final = re.compile(r"\w+")
COMMON: Final = frozenset(
    WORD.findall("""
        a an and are as at be been by can could did do does for from had has have how i if in into is it its may me my
        not of on or our should so some such than that the their them then there these they this to was we what when
        where which while who why will with would you your
    """)
)
"""Words that occur in every text. They do not distinguish texts, and take most of the time."""

ROWS_AT_ONCE: Final = 16_384
"""Vectors that are compared at once, which bounds the memory."""

MIN_STEM: Final = 3
"""Characters of a word that must occur; of longer ones, all except the last two."""

Ranking = list[tuple[int, float]]
"""Pieces with their weights, the best first."""

Accepts = Callable[[int], bool]
"""Returns whether the pieces of a file may be found, by the id of the file."""


def file_of(piece: int) -> int:
    """Return the id of the file of a piece."""
    return piece // MAX_PIECES_PER_FILE


def distinctive(query: str) -> list[str]:
    """Return the words of a query that may distinguish texts, each once."""
    words = list(dict.fromkeys(WORD.findall(query.lower())))
    return [word for word in words if word not in COMMON][:MAX_QUERY_WORDS] or words[:MAX_QUERY_WORDS]


def by_words(index: IndexFile, query: str, accepts: Accepts) -> Ranking:
    """Return the pieces that have words of the query, the best first, weighted by the share of words that they have."""
    words = distinctive(query)
    if not words:
        return []
    # In quotation marks nothing is an operator, and a word has no quotation mark.
    expression = " OR ".join(f'"{word}"' for word in words)
    rows = index.connection.execute(
        f"SELECT rowid FROM texts WHERE texts MATCH ? "  # noqa: S608 - constants
        f"ORDER BY bm25(texts, {PATH_WEIGHT}, {TITLE_WEIGHT}, {TEXT_WEIGHT})",
        (expression,),
    )
    found = list(islice((piece for (piece,) in rows if accepts(file_of(piece))), MAX_CANDIDATES))
    stems = [word[: max(MIN_STEM, len(word) - 2)] for word in words]
    return [(piece, _share(index, piece, stems) ** 2) for piece in found]


def _share(index: IndexFile, piece: int, stems: Sequence[str]) -> float:
    """Return the share of the stems that a piece has."""
    row = index.connection.execute("SELECT path, title, text FROM texts WHERE rowid = ?", (piece,)).fetchone()
    text = " ".join(row).lower()
    return sum(stem in text for stem in stems) / len(stems)


def by_vectors(index: IndexFile, vector: bytes, accepts: Accepts) -> Ranking:
    """Return the pieces whose vectors are nearest to a vector, the best first."""
    dimensions = index.dimensions
    if len(vector) != dimensions:
        return []
    import numpy as np  # noqa: PLC0415 - comes with the model

    query = np.frombuffer(vector, dtype=np.int8).astype(np.float32)
    best: list[tuple[float, int]] = []
    for pieces, data in _groups(index, accepts, dimensions):
        rows = np.frombuffer(data, dtype=np.int8).reshape(-1, dimensions).astype(np.float32)
        scores = rows @ query
        count = min(MAX_CANDIDATES, len(scores))
        nearest = np.argpartition(-scores, count - 1)[:count]
        best += [(float(scores[at]), pieces[at]) for at in nearest if scores[at] >= MIN_SIMILARITY]
        best = sorted(best, reverse=True)[:MAX_CANDIDATES]
    return [(piece, 1.0) for _, piece in best]


def _groups(index: IndexFile, accepts: Accepts, dimensions: int) -> Iterable[tuple[Sequence[int], bytes]]:
    """Yield the accepted pieces and their vectors, in groups of bounded size."""
    pieces: list[int] = []
    blobs: list[bytes] = []
    for file_id, data in index.connection.execute("SELECT file_id, data FROM vectors"):
        if not accepts(file_id):
            continue
        start = file_id * MAX_PIECES_PER_FILE
        pieces += range(start, start + len(data) // dimensions)
        blobs.append(data)
        if len(pieces) >= ROWS_AT_ONCE:
            yield pieces, b"".join(blobs)
            pieces, blobs = [], []
    if pieces:
        yield pieces, b"".join(blobs)


def fused(*rankings: Ranking) -> list[tuple[float, int]]:
    """Return the pieces of all rankings with their scores, the best first."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (piece, weight) in enumerate(ranking, 1):
            scores[piece] = scores.get(piece, 0.0) + weight / (RANK_CONSTANT + rank)
    return sorted(((score, piece) for piece, score in scores.items()), key=lambda found: (-found[0], found[1]))
