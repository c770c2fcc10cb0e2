"""The format of keys, and the rejection of anything else."""

import re

import pytest

from access.keys.key_format import ALPHABET, LENGTH, SHOWN_CHARS, NotAKey, mint, parse

KEY = mint(bytes(range(32))).encode()


def test_key_has_its_prefix_256_random_bits_and_a_checksum() -> None:
    assert re.fullmatch(r"osk_[0-9A-Za-z]{49}", mint())
    assert len({mint() for _ in range(1_000)}) == 1_000
    assert mint(bytes(32)).startswith("osk_" + "0" * 43)
    assert len(mint(b"\xff" * 32)) == LENGTH
    assert mint(b"\xff" * 32)[:47] != mint(b"\xff" * 31 + b"\xfe")[:47]


def test_parsed_key_has_a_hash_and_a_short_prefix() -> None:
    key = mint()
    kept = parse(key.encode())
    assert kept.prefix == key[:SHOWN_CHARS]
    assert re.fullmatch("[0-9a-f]{64}", kept.sha256)
    assert parse(key.encode()) == kept
    assert parse(mint().encode()).sha256 != kept.sha256


def test_every_mistyped_character_is_detected() -> None:
    key = mint()
    for place in range(4, LENGTH):
        other = next(character for character in ALPHABET if character != key[place])
        with pytest.raises(NotAKey) as caught:
            parse((key[:place] + other + key[place + 1 :]).encode())
        assert caught.value.code == "checksum"


@pytest.mark.parametrize(
    "text",
    [b"", b"osk_", b"secret", b"sk-" + b"a" * 50, KEY[:-1], KEY + b"0", b" " + KEY, KEY + b"\n", b"OSK_" + KEY[4:],
     "osk_é".encode() * 10, b"\x1b[31m", b"\x00" * 53, b"osk_" + b"a" * 100_000],
)  # fmt: skip
def test_malformed_key_is_rejected_and_not_repeated_in_the_error(text: bytes) -> None:
    with pytest.raises(NotAKey) as caught:
        parse(text)
    assert caught.value.code == "shape"
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200
