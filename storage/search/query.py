"""The query of a search: words, "quoted phrases", `begin*` and `-excluded`. Any other text is searched as it is."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from storage import sanitize

MAX_CHARS: Final = 1_000
MAX_TERMS: Final = 10
"""Terms of a query that count."""

MIN_TYPED: Final = 3
"""Letters of the last word from which on it also finds words that begin with it."""

TERM: Final = re.compile(
    r"""(?P<excluded>(?<!\S)-(?=[^\W_]|"))?(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))(?P<star>\*)?"""
)


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A word, or several that follow each other. With `is_prefix`, the last one may continue."""

    text: str
    is_prefix: bool = False
    is_excluded: bool = False


class Query(msgspec.Struct, frozen=True):
    """The terms that a row must have, and those that it must not have. Without terms, no row matches."""

    terms: tuple[Term, ...]
    is_typed: bool = False
    # The last term is a plain word, which a person may still be typing.

    @property
    def required(self) -> Sequence[Term]:
        return [term for term in self.terms if not term.is_excluded]

    @property
    def excluded(self) -> Sequence[Term]:
        return [term for term in self.terms if term.is_excluded]

    def widened(self) -> "Query | None":
        """Return the query whose last word may continue; None if it may not."""
        if not self.is_typed:
            return None
        return Query((*self.terms[:-1], msgspec.structs.replace(self.terms[-1], is_prefix=True)))


def parse(text: str) -> Query:
    """Return the query of a text that a person typed. No text is an error."""
    # NUL ends a text in SQLite, and PostgreSQL has no such character.
    plain = sanitize.text(text[:MAX_CHARS].replace("\x00", " "))
    terms: list[Term] = []
    is_typed = False
    for found in TERM.finditer(plain):
        phrase, word = found["phrase"], found["word"]
        words = phrase if word is None else word.rstrip("*")
        if not any(char.isalnum() for char in words):
            continue
        is_prefix = bool(found["star"]) or (word or "").endswith("*")
        is_excluded = found["excluded"] is not None
        terms.append(Term(text=words, is_prefix=is_prefix, is_excluded=is_excluded))
        is_typed = word is not None and not is_prefix and not is_excluded and len(words) >= MIN_TYPED
        if len(terms) == MAX_TERMS:
            break
    if all(term.is_excluded for term in terms):
        # Without a required word there is nothing to begin with, so the words are searched.
        terms = [msgspec.structs.replace(term, is_excluded=False) for term in terms]
    return Query(tuple(terms), is_typed)
