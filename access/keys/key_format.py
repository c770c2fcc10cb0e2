"""The format of API keys: `osk_`, 32 random bytes in base62, and a checksum that identifies typing errors.

It is the format of GitHub's tokens (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/):
secret scanners find a key by its prefix, and the checksum rules out chance matches.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final, Literal

import msgspec

PREFIX: Final = "osk_"
RANDOM_BYTES: Final = 32
# The least numbers of base62 digits that hold 256 random bits and a CRC of 32 bits.
RANDOM_CHARS: Final = 43
CHECKSUM_CHARS: Final = 6
LENGTH: Final = len(PREFIX) + RANDOM_CHARS + CHECKSUM_CHARS

SHOWN_CHARS: Final = 12
"""Characters that identify a key to people: the prefix, and 47 of the 256 random bits."""

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHAPE: Final = re.compile(rb"osk_[0-9A-Za-z]{49}")


class NotAKey(ValueError):
    """The text is not a key, by its shape or its checksum. The message repeats nothing of it."""

    def __init__(self, code: Literal["shape", "checksum"], message: str) -> None:
        super().__init__(message)
        self.code = code


class Key(msgspec.Struct, frozen=True):
    """The stored part of a key: its SHA-256 in hex, and its first characters. The key itself is not kept in memory."""

    sha256: str
    prefix: str


def mint(random: bytes | None = None) -> str:
    """Return a new key."""
    number = int.from_bytes(secrets.token_bytes(RANDOM_BYTES) if random is None else random)
    secret = PREFIX + _base62(number, RANDOM_CHARS)
    return secret + _checksum(secret.encode())


def parse(text: bytes) -> Key:
    """Return the stored part of a key. Raises `NotAKey`."""
    if not SHAPE.fullmatch(text):
        raise NotAKey("shape", f"Malformed API key: a key is {PREFIX} and {LENGTH - len(PREFIX)} characters.")
    if _checksum(text[:-CHECKSUM_CHARS]).encode() != text[-CHECKSUM_CHARS:]:
        raise NotAKey("checksum", "Malformed API key: the checksum does not match. It may be cut off or mistyped.")
    # One round of SHA-256 is enough: slow hashes are for passwords, which can be guessed, unlike 256 random bits.
    return Key(hashlib.sha256(text).hexdigest(), text[:SHOWN_CHARS].decode("ascii"))


def _checksum(text: bytes) -> str:
    return _base62(zlib.crc32(text), CHECKSUM_CHARS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
