"""Secrets are masked by value and by format, whole or in pieces."""

from typing import Any

import pytest

from access.keys.key_format import mint
from tools.output.masking import MASK, MAX_HELD_CHARS, MaskedStream, Masker

KNOWN = "hunter2-of-the-house"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.abcdefghijklmn"
SECRETS = (
    KNOWN,
    "hunter2%2Fodd",
    "sk-" + "a1B2" * 8,
    mint(bytes(range(32))),
    "sk-proj-" + "a1B2" * 8,
    "AIza" + "x" * 35,
    "ghp_" + "a" * 36,
    "github_pat_" + "a" * 30,
    "glpat-" + "a" * 20,
    "xoxb-" + "1" * 12,
    "AKIA" + "Q" * 16,
    "hf_" + "a" * 34,
    JWT,
    KEY,
)
MASKER = Masker([KNOWN, "hunter2/odd", "short"])


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:12])
def test_secret_is_masked_wherever_it_occurs(secret: str) -> None:
    for text in (secret, f"before {secret} after", f'"{secret}"', f"KEY={secret}\n"):
        masked = MASKER.text(text)
        assert secret not in masked
        assert MASK in masked
        assert masked == text.replace(secret, MASK)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://app:pa55word@db/x", f"postgres://app:{MASK}@db/x"),
        ("a://:b@", f"a://:{MASK}@"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ('{"authorization": "Basic YWxhZGRpbjpvcGVu"}', f'{{"authorization": "Basic {MASK}"}}'),
    ],
)
def test_only_the_secret_part_is_masked(text: str, masked: str) -> None:
    assert MASKER.text(text) == masked


@pytest.mark.parametrize(
    "text",
    ["", "short", "The quick brown fox.", "https://example.com/a@b", "task-0123456789", "sk-learn", "eyJ", "a" * 5_000],
)
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assert MASKER.text(text) == text


def test_characters_that_no_database_stores_are_replaced() -> None:
    assert MASKER.text("a\0b\ud800c\U0001f600") == "a\ufffdb\ufffdc\U0001f600"


def test_every_text_of_a_value_is_masked() -> None:
    value: Any = {"a": [KNOWN, {"b": KNOWN, KNOWN: 1}], "n": 1, "f": None}
    assert MASKER.data(value) == {"a": [MASK, {"b": MASK, MASK: 1}], "n": 1, "f": None}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 1_000])
def test_secret_in_pieces_is_masked(size: int) -> None:
    text = f"one {' two '.join(SECRETS)}\nAuthorization: Bearer abcdef123456\nlast\n"
    stream = MaskedStream(MASKER)
    shown = "".join(stream.feed(text[start : start + size]) for start in range(0, len(text), size)) + stream.end()
    assert shown == MASKER.text(text)


def test_progress_without_line_endings_is_shown_at_once() -> None:
    stream = MaskedStream(MASKER)
    assert [stream.feed(piece) for piece in (".", "..", " ok\n", "half ", "a-word")] == [
        ".",
        "..",
        " ok\n",
        "half ",
        "",
    ]
    assert stream.end() == "a-word"


def test_endless_word_is_not_held_back_forever() -> None:
    stream = MaskedStream(MASKER)
    shown = sum(len(stream.feed("a" * 1_000)) for _ in range(100))
    assert shown >= 100_000 - MAX_HELD_CHARS


def test_unterminated_private_key_is_never_shown() -> None:
    stream = MaskedStream(MASKER)
    shown = stream.feed("-----BEGIN PRIVATE KEY-----\n") + "".join(stream.feed("MIIEow\n") for _ in range(5_000))
    assert "MIIEow" not in shown + stream.end()
