"""Rules on the origin of a request.

Covers `access.peer_user`, `web.form_origin`.
"""

import os
import socket
from typing import Any

import pytest

from access.network.host_check import CONNECTION, RequestOrigin, Rules, check, is_loopback
from access.peer_user import is_own_user
from web.errors import ApiError

OPEN = Rules(keyed=False, hosts=("localhost",), origins=())
PROVEN = Rules(keyed=False, is_own_user=is_own_user, hosts=("localhost",), origins=())
KEYED = Rules(keyed=True, hosts=("api.example.com", ".example.org"), origins=("https://app.example.com",))


def request_origin(**given: Any) -> RequestOrigin:
    fields: dict[str, Any] = {
        "peer": ("127.0.0.1", 5),
        "own": ("127.0.0.1", 8010),
        "scheme": "http",
        "method": "POST",
        "host": "localhost:8010",
        "origin": "",
        "forwarded": False,
    }
    return RequestOrigin(**(fields | given))


def refused(rules: Rules, **given: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check(request_origin(**given), rules)
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:8010", "[::1]:8010", "127.9.9.9"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_without_keys_loopback_requests_are_accepted(host: str, peer: str) -> None:
    check(request_origin(host=host, peer=(peer, 5) if peer else None), OPEN)


@pytest.mark.parametrize("peer", ["10.0.0.1", "192.168.1.5", "8.8.8.8", "fe80::1", "::ffff:8.8.8.8", "testclient"])
def test_without_keys_requests_from_other_machines_are_rejected(peer: str) -> None:
    refusal = refused(OPEN, peer=(peer, 5))
    assert (refusal.status, refusal.code) == (403, "loopback_only")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "",
        "0.0.0.0",
        "10.0.0.1",
        "[::1",
        "[",
        "[::1].evil",
        "127.0.0.1/evil",
        "evil@127.0.0.1",
        "127.0.0.1:80:80",
        "localhost:x",
        "127.0.0.1 ",
    ],
)
def test_without_keys_a_rebound_host_name_is_rejected(host: str) -> None:
    assert refused(OPEN, host=host).code == "bad_host"


def test_without_keys_proxied_requests_are_rejected() -> None:
    assert refused(PROVEN, forwarded=True).code == "forwarded"
    assert refused(PROVEN, closes=True).code == "forwarded"
    check(request_origin(forwarded=True, closes=True), OPEN)


@pytest.mark.parametrize(
    "name",
    [
        *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-envoy-external-address", b"forwarded"),
        *(b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip", b"client-ip", b"x-original-host"),
    ],
)
def test_every_forwarding_header_marks_a_request_as_proxied(name: bytes) -> None:
    assert RequestOrigin.of({"type": "http", "client": ("127.0.0.1", 1)}, [(name, b"1.2.3.4")]).forwarded


def test_http_1_0_request_that_closes_is_one_of_a_proxy() -> None:
    for version, value, closes in (("1.0", b"close", True), ("1.0", b"", False), ("1.1", b"close", False)):
        scope = {"type": "http", "http_version": version}
        assert RequestOrigin.of(scope, [(b"connection", value)]).closes is closes


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_without_keys_the_peer_must_be_the_service_s_own_user(family: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with (
        socket.create_server((host, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
    ):
        ends = {"peer": client.getsockname()[:2], "own": server.getsockname()[:2]}
        check(request_origin(**ends), PROVEN)
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
        assert refused(PROVEN, **ends).code == "other_user"
        check(request_origin(**ends), OPEN)


def test_without_keys_a_peer_that_the_kernel_does_not_know_is_rejected() -> None:
    for ends in ({}, {"peer": None}, {"own": None}, {"peer": ("::1", 5)}, {"peer": ("127.0.0.1", 99_999)}):
        assert refused(PROVEN, **ends).code == "other_user"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "https://localhost:8010"])
def test_page_of_another_origin_cannot_change_anything(origin: str) -> None:
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        assert refused(OPEN, origin=origin, method=method).code == "bad_origin"
    check(request_origin(origin=origin, method="GET"), OPEN)


@pytest.mark.parametrize("public_url", ["", "https://chat.example.org"])
@pytest.mark.parametrize(
    "origin", ["https://other.example", "http://10.0.0.5:8000", "null", "https://<b>\u202e", "x" * 500]
)
def test_form_of_another_origin_names_the_received_origin_and_the_setting(origin: str, public_url: str) -> None:
    rules = Rules(keyed=False, hosts=("localhost",), origins=(public_url,), public_url=public_url)
    with pytest.raises(ApiError) as caught:
        check(request_origin(origin=origin), rules, is_form=True)
    said = caught.value.error
    assert (caught.value.code, "CORS" in said, said.isprintable()) == ("bad_origin", False, True)
    assert f"PUBLIC_URL is {public_url or 'not set'}" in said
    assert ascii(origin[:80])[1:-1] in said
    # Only an origin is proposed as the setting.
    assert (f"set PUBLIC_URL={origin} " in said) is origin.startswith(("https://other", "http://10"))
    assert len(said) < 400
    assert origin[:4] in refused(rules, origin=origin).error


def test_own_pages_and_allowed_origins_are_accepted() -> None:
    check(request_origin(origin="http://localhost:8010"), OPEN)
    check(request_origin(origin="https://app.example.com", host="api.example.com"), KEYED)
    check(request_origin(origin="http://localhost:8010", scheme="ws"), OPEN)


def test_with_keys_only_allowed_hosts_are_accepted() -> None:
    check(request_origin(host="api.example.com", peer=("8.8.8.8", 5), forwarded=True), KEYED)
    check(request_origin(host="a.example.org:443", peer=("8.8.8.8", 5)), KEYED)
    assert (refused(KEYED, host="localhost").status, refused(KEYED, host="localhost").code) == (400, "bad_host")
    check(request_origin(host="anything"), Rules(keyed=True, hosts=("*",), origins=()))


@pytest.mark.parametrize(("host", "own"), [("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)])
def test_loopback_addresses_are_recognised(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_kernel_is_asked_for_the_user_once_a_connection() -> None:
    asked: list[object] = []
    rules = Rules(keyed=False, is_own_user=lambda *given: asked.append(given) is None, hosts=(), origins=())
    state: dict[str, dict[str, bool]] = {CONNECTION: {}}
    scope: dict[str, object] = {"client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80), "state": state}
    for _ in range(2):
        check(RequestOrigin.of(scope, [(b"host", b"localhost")]), rules)
    assert len(asked) == 1
    check(RequestOrigin.of({**scope, "state": {CONNECTION: {}}}, [(b"host", b"localhost")]), rules)
    assert len(asked) == 2
    with pytest.raises(ApiError, match="proxy"):
        check(RequestOrigin.of(scope, [(b"host", b"localhost"), (b"via", b"x")]), rules)
