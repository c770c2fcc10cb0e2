"""The ranking of pieces: by words, by vectors (cosine), and both fused by reciprocal rank.

Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009. The ranking by words counts less for a piece that has
few of them. Otherwise it would spoil the answers to questions in other words, which vectors find.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from retrieval.indexes.base import Index, IndexedFile, file_of
from retrieval.limits import MAX_CANDIDATES, MAX_QUERY_WORDS

RANK_CONSTANT: Final = 20
"""The constant of the fusion. The paper's 60 finds fewer answers to paraphrases in `benchmarks.retrieval`."""

WORD: Final = re.compile(r"\w+")
COMMON: Final = frozenset(
    WORD.findall("""
        a an and are as at be been by can could did do does for from had has have how i if in into is it its may me my
        not of on or our should so some such than that the their them then there these they this to was we what when
        where which while who why will with would you your
    """)
)
"""Words that occur in every text. They do not distinguish texts, and take most of the time."""

MIN_STEM: Final = 3
"""Characters of a word that must occur; of longer ones, all except the last two."""

Ranking = list[tuple[int, float]]
"""Pieces with their weights, the best first."""


def distinctive(query: str) -> list[str]:
    """Return the words of a query that may distinguish texts, each once."""
    words = list(dict.fromkeys(WORD.findall(query.lower())))
    return [word for word in words if word not in COMMON][:MAX_QUERY_WORDS] or words[:MAX_QUERY_WORDS]


def by_words(index: Index, query: str, files: Mapping[int, IndexedFile]) -> Ranking:
    """Return the pieces of the files that have words of the query, the best first.

    Each is weighted by the share of the words that it has.
    """
    words = distinctive(query)
    if not words:
        return []
    stems = [word[: max(MIN_STEM, len(word) - 2)] for word in words]
    ranking: Ranking = []
    for number, piece in index.pieces(index.matching(words, files, MAX_CANDIDATES)).items():
        text = f"{files[file_of(number)].path} {piece.title} {piece.text}".lower()
        ranking.append((number, (sum(stem in text for stem in stems) / len(stems)) ** 2))
    return ranking


def by_vectors(index: Index, vector: bytes, files: Collection[int]) -> Ranking:
    """Return the pieces of the files whose vectors are nearest to a vector, the best first."""
    if len(vector) != index.dimensions:
        return []
    return [(piece, 1.0) for piece in index.vectors.nearest(vector, files, MAX_CANDIDATES)]


def fused(*rankings: Ranking) -> list[tuple[float, int]]:
    """Return the pieces of all rankings with their scores, the best first."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (piece, weight) in enumerate(ranking, 1):
            scores[piece] = scores.get(piece, 0.0) + weight / (RANK_CONSTANT + rank)
    return sorted(((score, piece) for piece, score in scores.items()), key=lambda found: (-found[0], found[1]))
