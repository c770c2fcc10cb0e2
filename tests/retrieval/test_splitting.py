"""Pieces of texts: where they are cut, what they are called, and bounds for hostile texts.

Covers `retrieval.boundaries`, `retrieval.decoding`, `retrieval.kinds`, `retrieval.splitting`, `retrieval.worker.tasks`.
"""

import time

import pytest

from retrieval.base import DocumentError, Kind
from retrieval.decoding import decoded
from retrieval.kinds import kind_of
from retrieval.limits import MAX_PIECE_CHARS, MAX_PIECES_PER_FILE
from retrieval.splitting import split
from retrieval.worker.tasks import LocalReader

PROSE = "Some words about the subject of this section. " * 8


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"a" * 100 + b"\0", b"\xff\xfe\0\0a\0\0\0"])
def test_binary_file_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError, match="binary"):
        decoded(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xe9", "caf\ufffd"),
        (b"\xef\xbb\xbfmark", "mark"),
        ("\ufeffwide".encode("utf-16-le"), "wide"),
        (b"a" * 9000 + b"\0", "a" * 9000 + "\ufffd"),
        (b"", ""),
    ],
)
def test_text_is_decoded_whatever_its_bytes(data: bytes, text: str) -> None:
    assert decoded(data) == text


def test_line_of_data_is_refused() -> None:
    with pytest.raises(DocumentError, match="data, not text"):
        split("x" * 100_000, "text")


@pytest.mark.parametrize(
    "line",
    ["#" * 60_000, "class A" + "(" * 60_000 + "{", " " * 60_000 + "def", "public " * 8_000, "=" * 60_000, "`" * 60_000],
)
@pytest.mark.parametrize("kind", ["markdown", "code", "text"])
def test_hostile_line_is_split_in_linear_time(kind: Kind, line: str) -> None:
    started = time.process_time()
    pieces = split(f"title\n{line}\n" * 8, kind)
    assert all(len(piece.text) <= MAX_PIECE_CHARS for piece in pieces)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("kind", ["markdown", "code", "text"])
def test_every_line_of_a_text_is_in_one_piece_at_its_number(kind: Kind) -> None:
    lines = [f"def f{n}(): return {n}" if n % 7 == 0 else f"# Part {n}" if n % 11 == 0 else "" for n in range(900)]
    pieces = split("\n".join(lines), kind)
    found: dict[int, str] = {}
    for piece in pieces:
        found.update(enumerate(piece.text.split("\n"), piece.first))
        assert piece.last == piece.first + piece.text.count("\n")
    assert {number: line for number, line in found.items() if line} == {
        number: line for number, line in enumerate(lines, 1) if line
    }


def test_file_of_many_pieces_is_cut_off() -> None:
    assert len(split(("word " * 170 + "\n") * (MAX_PIECES_PER_FILE + 9), "text")) == MAX_PIECES_PER_FILE


def test_markdown_is_split_at_headings_outside_of_code() -> None:
    text = f"# Guide\n{PROSE}\n## Setup\n{PROSE}\n```sh\n# no heading\n```\n{PROSE}\n# Other\n{PROSE}"
    titles = [(piece.title, piece.first) for piece in split(text, "markdown")]
    assert titles == [("Guide", 1), ("Guide > Setup", 3), ("Other", 9)]


def test_code_is_split_at_symbols_with_what_stands_above_them() -> None:
    body = "        value = compute(something, other)\n" * 8
    text = f"import os\n\nclass Reader:\n    def one(self):\n{body}\n    @cache\n    def two(self):\n{body}\n"
    pieces = split(text, "code")
    assert [piece.title for piece in pieces] == ["class Reader > def one(self)", "class Reader > def two(self)"]
    assert pieces[1].text.startswith("    @cache\n    def two")


def test_function_of_c_begins_a_piece() -> None:
    body = "    value = compute(something, other);\n" * 10
    pieces = split(f"int main(int argc)\n{{\n{body}}}\n\nstatic void run(void) {{\n{body}}}\n", "code")
    assert pieces[-1].title == "static void run(void)"


def test_underlined_titles_of_plain_text_are_found() -> None:
    text = f"Guide\n=====\n{PROSE}\nSetup\n-----\n{PROSE}"
    assert [piece.title for piece in split(text, "text")] == ["Guide", "Guide > Setup"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a/b.PY", "code"), ("README", "text"), ("x.Md", "markdown"), ("p.pdf", "pdf"), ("d.docx", "docx"), ("", "text")],
)
def test_kind_follows_the_name(path: str, kind: Kind) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize("kind", ["pdf", "docx"])
@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\0" * 1000])
def test_damaged_document_raises_and_is_not_read(kind: Kind, data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - the worker turns any of them into a sentence
        LocalReader().pieces(kind, data)
