"""The client's address behind proxies."""

import pytest

from access.network.proxies import client, networks, subscriber

TRUSTED = networks("127.0.0.1, 10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6", "1.2.3.4", "10.1.1.1"], "1.2.3.4"),
        ("10.9.9.9", ["10.1.1.1"], "10.1.1.1"),
        ("8.8.8.8", ["1.2.3.4"], "8.8.8.8"),
        ("8.8.8.8", ["127.0.0.1"], "8.8.8.8"),
        ("127.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("::1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, \x1b[31m"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6," + ",".join(["10.0.0.1"] * 10_000)], "10.0.0.1"),
        ("", ["1.2.3.4"], ""),
    ],
)
def test_client_address_is_the_rightmost_one_that_no_trusted_proxy_has(
    peer: str, forwarded: list[str], found: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    assert client(peer, headers, TRUSTED) == found


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert client("127.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")], ()) == "127.0.0.1"


@pytest.mark.parametrize("text", ["nowhere", "10.0.0.0/33", "10.0.0.1/8", "*", "localhost"])
def test_invalid_network_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="such as 127"):
        networks(text)


def test_ipv6_subscriber_is_a_64_bit_prefix() -> None:
    assert subscriber("2001:db8::1") == subscriber("2001:db8::ffff:2")
    assert subscriber("2001:db8:0:1::1") != subscriber("2001:db8::1")
    assert subscriber("1.2.3.4") != subscriber("1.2.3.5")
    assert subscriber("") == subscriber("nonsense")
