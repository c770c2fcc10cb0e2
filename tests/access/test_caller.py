"""Extraction of the key from a request."""

import pytest

from access.caller import extract_key
from web.errors import ApiError

AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], b""),
        ([(AUTHORIZATION, b"Bearer secret")], b"secret"),
        ([(AUTHORIZATION, b"bearer   secret ")], b"secret"),
        ([(API_KEY, b" secret ")], b"secret"),
        ([(b"cookie", b"a"), (API_KEY, b"secret"), (b"x-api-key-2", b"b")], b"secret"),
        ([(AUTHORIZATION, b"Bearer")], b""),
    ],
)
def test_key_is_read_from_either_header(headers: list[tuple[bytes, bytes]], key: bytes) -> None:
    assert extract_key(headers) == key


@pytest.mark.parametrize(
    "headers",
    [
        [(AUTHORIZATION, b"Bearer secret"), (API_KEY, b"secret")],
        [(AUTHORIZATION, b"Bearer secret"), (AUTHORIZATION, b"Bearer secret")],
        [(API_KEY, b"secret"), (API_KEY, b"secret")],
        [(API_KEY, b""), (API_KEY, b"secret")],
    ],
)
def test_two_keys_are_rejected_even_if_they_are_equal(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ApiError) as caught:
        extract_key(headers)
    assert (caught.value.status, caught.value.code) == (400, "two_keys")
    with pytest.raises(ApiError):
        extract_key(headers[:1], [b"secret"])


@pytest.mark.parametrize("value", [b"Basic c2VjcmV0", b"secret", b"", b"Bearersecret", b"\xff\x00"])
def test_unknown_authorization_scheme_is_401(value: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        extract_key([(AUTHORIZATION, value)])
    assert (caught.value.status, caught.value.headers["WWW-Authenticate"]) == (401, "Bearer")
