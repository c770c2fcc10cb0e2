"""The search index of tools: their names, descriptions and params, in a full-text table in memory."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, Final

from tools.base import ToolSpec

MAX_WORDS: Final = 64
"""Words of a query that are searched for. Each costs time."""

MAX_SCHEMA_DEPTH: Final = 4
MAX_INDEXES: Final = 16
"""Indexes that are kept, one for each set of tools."""

WORD: Final = re.compile(r"[^\W_]+")
CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# A word in a name says more about a tool than one about its params. The three are added up, because within one BM25 a
# word that a description repeats would count for more than one in the name.
RANK: Final = "bm25(tools, 1, 0, 0) + bm25(tools, 0, 1, 0) + 0.5 * bm25(tools, 0, 0, 1)"


class ToolIndex:
    """Tools, ranked by the words that they share with a query. Endings of English words make no difference."""

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self._specs = tuple(specs)
        # One connection may be used by several threads, one at a time.
        self._lock = Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "CREATE VIRTUAL TABLE tools USING fts5(name, description, params, tokenize='porter unicode61')"
        )
        self._database.executemany(
            "INSERT INTO tools (rowid, name, description, params) VALUES (?, ?, ?, ?)",
            [
                (
                    number,
                    f"{spec.name} {CAMEL.sub(' ', spec.name)}".replace("_", " "),
                    spec.description,
                    " ".join(_texts(spec.parameters, MAX_SCHEMA_DEPTH)).replace("_", " "),
                )
                for number, spec in enumerate(self._specs)
            ],
        )

    def search(self, query: str, limit: int) -> tuple[ToolSpec, ...]:
        """Return the best matches, best first. A query without a word in common with any tool has none."""
        words = dict.fromkeys(word.lower() for word in WORD.findall(CAMEL.sub(" ", query)))
        # Words such as "the" are in most descriptions, so they count for next to nothing.
        terms = " OR ".join(f'"{word}"' for word in list(words)[:MAX_WORDS])
        if not terms:
            return ()
        with self._lock:
            rows = self._database.execute(
                f"SELECT rowid FROM tools WHERE tools MATCH ? ORDER BY {RANK}, rowid LIMIT ?",  # noqa: S608 - it is a constant
                (terms, limit),
            ).fetchall()
        return tuple(self._specs[number] for (number,) in rows)


# Sets of tools are kept by their callers for as long as they are offered, so the same tuple comes again.
@lru_cache(maxsize=MAX_INDEXES)
def index_of(specs: tuple[ToolSpec, ...]) -> ToolIndex:
    """Return the index of a set of tools, which is made once."""
    return ToolIndex(specs)


def _texts(schema: Any, depth: int) -> Iterator[str]:
    """Yield the names and descriptions of the properties of a schema."""
    if not isinstance(schema, dict) or not depth:
        return
    properties = schema.get("properties")
    for name, value in properties.items() if isinstance(properties, dict) else ():
        yield str(name)
        if isinstance(value, dict):
            yield str(value.get("description", ""))
            yield from _texts(value, depth - 1)
            yield from _texts(value.get("items"), depth - 1)
