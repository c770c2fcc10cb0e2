"""The query of a search: any text is one, and no text is an error."""

from hypothesis import given
from hypothesis import strategies as st

from storage.search import postgres, sqlite
from storage.search.query import MAX_TERMS, Query, Term, parse


def terms(text: str) -> list[tuple[str, bool, bool]]:
    return [(term.text, term.is_prefix, term.is_excluded) for term in parse(text).terms]


def test_words_phrases_prefixes_and_exclusions_are_terms() -> None:
    assert terms('red "big green" blue* -pink -"light grey"') == [
        ("red", False, False),
        ("big green", False, False),
        ("blue", True, False),
        ("pink", False, True),
        ("light grey", False, True),
    ]


def test_other_text_is_searched_as_it_is() -> None:
    assert terms("a-b --force x:y NEAR(1 (2") == [
        ("a-b", False, False),
        ("--force", False, False),
        ("x:y", False, False),
        ("NEAR(1", False, False),
        ("(2", False, False),
    ]


def test_text_without_a_word_has_no_terms() -> None:
    for text in ("", " ", "*", '"', '""', "-", '-"', "***", "\0", "( )", "--"):
        assert parse(text) == Query(()), text


def test_query_of_exclusions_only_searches_their_words() -> None:
    assert terms("-red -blue") == [("red", False, False), ("blue", False, False)]


def test_last_plain_word_may_be_unfinished() -> None:
    for text, widened in (("red gre", "gre"), ('red "gre"', ""), ("gre*", ""), ("red -gre", ""), ("gr", "")):
        query = parse(text).widened()
        assert ([term.text for term in query.terms if term.is_prefix] if query else [""]) == [widened], text


def test_long_query_is_cut() -> None:
    assert len(parse("word " * 1_000).terms) == MAX_TERMS
    assert parse("x" * 10_000).terms == (Term(text="x" * 1_000),)


@given(st.text())
def test_any_text_becomes_a_query_in_both_languages(text: str) -> None:
    query = parse(text)
    for each in (query, query.widened()):
        if each is not None and each.required:
            assert "\0" not in sqlite.match(each, ["key:a"])
            assert sqlite.match(each, []).count('"') % 2 == 0
            expression, values = postgres.match(each, ["key:a"])
            assert expression.count("%s") == len(values)
