"""An index in SQLite: a table of keys, a contentless FTS5 table, and the triggers that fill them.

A contentless table removes a row's words only if it is given the same words again, so they must depend on the row only.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from storage.search.index import MAX_CHARS, TextIndex, scope_word
from storage.search.query import Query, Term

TOKENIZER: Final = "unicode61 remove_diacritics 0"


def tables(index: TextIndex) -> Iterator[str]:
    """Yield the statements that create the tables."""
    kind = "char(32)" if index.is_uuid else "integer"
    # Rows of a table with a UUID have no number of their own that lasts: VACUUM may change their `rowid`.
    yield (
        f"CREATE TABLE IF NOT EXISTS {index.keys} "
        f"(number integer PRIMARY KEY, key {kind} NOT NULL UNIQUE, scope text NOT NULL)"
    )
    yield (
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {index.words} "
        f"USING fts5(scope, words, content='', columnsize=0, tokenize='{TOKENIZER}')"
    )


def triggers(index: TextIndex) -> Iterator[str]:
    """Yield the statements that create the triggers that are missing."""
    added = _added(index, "new")
    removed = (
        f"INSERT INTO {index.words} ({index.words}, rowid, scope, words) "
        f"SELECT 'delete', number, scope, {words(index, 'old')} FROM {index.keys} WHERE key = old.{index.key};"
    )
    known = f"EXISTS (SELECT 1 FROM {index.keys} WHERE key = new.{index.key})"
    changed = " OR ".join(f"old.{column} IS NOT new.{column}" for column in index.columns)
    yield (
        f"CREATE TRIGGER IF NOT EXISTS {index.table}_texts_added AFTER INSERT ON {index.table} "
        f"WHEN NOT ({index.open('new')}) BEGIN {added} END"
    )
    # While a row has a number, the index has exactly its current words.
    yield (
        f"CREATE TRIGGER IF NOT EXISTS {index.table}_texts_changed AFTER UPDATE OF {index.changing} ON {index.table} "
        f"WHEN CASE WHEN {known} THEN {changed} ELSE NOT ({index.open('new')}) END BEGIN {removed} {added} END"
    )
    yield (
        f"CREATE TRIGGER IF NOT EXISTS {index.table}_texts_removed AFTER DELETE ON {index.table} "
        f"BEGIN {removed} DELETE FROM {index.keys} WHERE key = old.{index.key}; END"
    )


def drops(index: TextIndex) -> Iterator[str]:
    """Yield the statements that drop everything of the index."""
    for name in ("added", "changed", "removed"):
        yield f"DROP TRIGGER IF EXISTS {index.table}_texts_{name}"
    yield f"DROP TABLE IF EXISTS {index.words}"
    yield f"DROP TABLE IF EXISTS {index.keys}"


def fill(index: TextIndex) -> Iterator[str]:
    """Yield the statements that index the rows with a key greater than `%s` and at most `%s`."""
    # Newer rows may have numbers already, because the triggers came first.
    missing = f"NOT EXISTS (SELECT 1 FROM {index.keys} WHERE key = r.{index.key})"
    span = f"r.{index.key} > %s AND r.{index.key} <= %s"
    yield (
        f"INSERT INTO {index.words} (rowid, scope, words) SELECT "
        f"(SELECT coalesce(max(number), 0) FROM {index.keys}) + row_number() OVER (ORDER BY r.{index.key}), "
        f"{_scope(index, 'r')}, {words(index, 'r')} FROM {index.table} r "
        f"WHERE {span} AND {missing} AND NOT ({index.open('r')}) ORDER BY r.{index.key}"
    )
    yield (
        f"INSERT INTO {index.keys} (number, key, scope) SELECT "
        f"(SELECT coalesce(max(number), 0) FROM {index.keys}) + row_number() OVER (ORDER BY r.{index.key}), "
        f"r.{index.key}, {_scope(index, 'r')} FROM {index.table} r "
        f"WHERE {span} AND {missing} AND NOT ({index.open('r')}) ORDER BY r.{index.key}"
    )


def words(index: TextIndex, row: str) -> str:
    """Return the SQL expression for the indexed text of a row."""
    # A JSON text keeps its escapes, so `\\nname` would be the word "nname": its strings are read instead. Numbers are
    # left out, because their form depends on SQLite's version.
    texts = [f"coalesce(substr({row}.{column}, 1, {MAX_CHARS}), '')" for column in index.texts]
    documents = [
        f"CASE WHEN {row}.{column} IS NULL THEN '' WHEN length({row}.{column}) > {MAX_CHARS} "
        f"THEN substr({row}.{column}, 1, {MAX_CHARS}) ELSE coalesce((SELECT group_concat(atom, ' ') "
        f"FROM json_tree({row}.{column}) WHERE type = 'text'), '') END"
        for column in index.documents
    ]
    return f"substr({' || char(10) || '.join([*texts, *documents])}, 1, {MAX_CHARS})"


def match(query: Query, scopes: Sequence[object]) -> str:
    """Return the query in FTS5's language, limited to the rows of these scopes if there are any."""
    required = " AND ".join(map(_term, query.required))
    if query.excluded:
        required = f"({required}) NOT ({' OR '.join(map(_term, query.excluded))})"
    found = f"words : ({required})"
    if not scopes:
        return found
    names = " OR ".join(_quoted(scope_word(scope)) for scope in scopes)
    return f"scope : ({names}) AND {found}"


def newest(index: TextIndex) -> str:
    """Return the query for the numbers and keys that match `%s`, from one number to another, the newest first."""
    # CROSS JOIN keeps this order of the loops. FTS5 returns its rows by number, so nothing is sorted.
    return (
        f"SELECT k.number, k.key FROM {index.words} w CROSS JOIN {index.keys} k ON k.number = w.rowid "
        f"WHERE {index.words} MATCH %s AND w.rowid BETWEEN %s AND %s ORDER BY w.rowid DESC"
    )


def optimize(index: TextIndex) -> str:
    """Return the statement that rewrites the index, so that no removed word is left in the file."""
    return f"INSERT INTO {index.words} ({index.words}) VALUES ('optimize')"


def _added(index: TextIndex, row: str) -> str:
    number = f"(SELECT number FROM {index.keys} WHERE key = {row}.{index.key})"
    return (
        f"INSERT OR IGNORE INTO {index.keys} (key, scope) VALUES ({row}.{index.key}, {_scope(index, row)}); "
        f"INSERT INTO {index.words} (rowid, scope, words) VALUES "
        f"({number}, {_scope(index, row)}, {words(index, row)});"
    )


def _scope(index: TextIndex, row: str) -> str:
    # The same word as `scope_word` makes.
    return f"replace(replace(coalesce({row}.{index.scope}, ''), ':', 'x'), '-', '')"


def _term(term: Term) -> str:
    return f"{_quoted(term.text)}{'*' if term.is_prefix else ''}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', " ") + '"'
