"""Authentication by key on a real server."""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from access import authenticator
from access.keys import lookup, revocation
from access.keys.key_format import Key, mint
from access.keys.lookup_thread import lookup_thread
from access.security_log import MAX_LINES, SecurityLog, security_log
from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from orchestrator_site.logging import JsonLines, TextLines
from storage.writer import writer
from tests.access.conftest import MakeKey, change, make_user, revoke, row_of
from tests.conftest import Api, Start
from tests.streams import Answer

STOP = Finished(reason="stop")


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test the log allowance of a new process."""
    monkeypatch.setattr(security_log, "_windows", {})


async def ask(api: Api, headers: Any) -> Answer:
    return await api.call("GET", "/chat/sessions", headers=headers)


async def test_only_a_valid_key_authenticates(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    api = await start(Scripted([text("Hello"), STOP]))
    answer = await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=alice.headers)
    assert answer.text == "Hello"
    (session,) = (await ask(api, {"X-API-Key": alice.secret})).json()["items"]
    assert session["owner"] == alice.owner == f"key:{alice.id}"
    answer = await ask(api, {})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await api.call("GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ([("X-API-Key", "secret")], 401, "a key is osk_ and 49 characters"),
        ([("Authorization", "Bearer osk_short")], 401, "a key is osk_ and 49 characters"),
        ([("Authorization", f"Bearer {mint()[:-1]}!")], 401, "a key is osk_ and 49 characters"),
        ([("Authorization", f"Bearer {mint()[:-6]}000000")], 401, "the checksum does not match"),
        ([("Authorization", f"Bearer {mint()}")], 401, "Unknown API key"),
        ([("Authorization", "Basic YTpi")], 401, "Authorization: Bearer <key>"),
        ([("Authorization", "Bearer ")], 401, "Authentication required"),
        ([("X-API-Key", "KEY"), ("Authorization", "Bearer KEY")], 400, "Send exactly one key"),
        ([("X-API-Key", "KEY"), ("X-API-Key", "KEY")], 400, "Send exactly one key"),
        ([("Authorization", "Bearer KEY"), ("Authorization", "Bearer KEY")], 400, "Send exactly one key"),
        ([("Authorization", "Bearer KEY,KEY")], 401, "a key is osk_ and 49 characters"),
        ([("X-API-Key", "\xff\xfe<b>")], 401, "a key is osk_ and 49 characters"),
    ],
)
async def test_each_invalid_key_has_its_status_and_message(
    start: Start, make_key: MakeKey, headers: list[tuple[str, str]], status: int, said: str
) -> None:
    alice = await make_key("alice")
    api = await start(Scripted())
    answer = await raw(api, [(name, value.replace("KEY", alice.secret)) for name, value in headers])
    assert answer.status == status
    assert said in answer.json()["error"]


async def raw(api: Api, headers: list[tuple[str, str]]) -> Answer:
    """Send a request with exactly these bytes in its headers; HTTP clients would correct them."""
    host, port = api.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{name}: {value}\r\n" for name, value in [("Host", host), ("Connection", "close"), *headers]]
    writer.write(f"GET /chat/sessions HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1"))
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return Answer(int(head.split()[1]), {}, next(line for line in body.splitlines() if line.startswith(b"{")))


async def test_revoked_expired_and_unknown_keys_are_401(start: Start, make_key: MakeKey) -> None:
    user = await make_user("bob")
    alice, bob, charlie = (
        await make_key("alice"),
        await make_key("bob", user_id=user),
        await make_key("charlie", expires="1h"),
    )
    api = await start(Scripted())
    for holder in (alice, bob, charlie):
        assert (await ask(api, holder.headers)).status == 200
    await revoke(alice)
    await make_inactive(user)
    await change(charlie, expires=timezone.now() - timedelta(seconds=1))
    for holder, code in ((alice, "key_revoked"), (bob, "user_inactive"), (charlie, "key_expired")):
        answer = await ask(api, holder.headers)
        assert (answer.status, answer.json()["code"]) == (401, code)


async def make_inactive(user: int) -> None:
    await writer.write(lambda: User.objects.filter(pk=user).update(is_active=False))


async def test_keys_of_one_user_share_their_records(start: Start, make_key: MakeKey) -> None:
    user = await make_user("alice")
    one, other = await make_key("laptop", user_id=user), await make_key("phone", user_id=user)
    api = await start(Scripted([text("Hello"), STOP]))
    await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=one.headers)
    (session,) = (await ask(api, other.headers)).json()["items"]
    assert session["owner"] == f"user:{user}"


async def test_malformed_key_is_rejected_without_a_database_query(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice")
    api = await start(Scripted())
    assert (await ask(api, alice.headers)).status == 200
    asked = []

    async def find(key: Key) -> None:
        asked.append(key)

    monkeypatch.setattr(lookup_thread, "find", find)
    for secret in ("secret", alice.secret[:-1], f"{alice.secret[:-1]}!", mint()[:-6] + "abcdef"):
        assert (await ask(api, {"X-API-Key": secret})).status == 401
    assert asked == []
    assert (await ask(api, {"X-API-Key": alice.secret})).status == 401
    assert len(asked) == 1


async def test_service_without_keys_authenticates_without_a_database_query(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await start(Scripted())
    assert (await api.call("GET", "/providers")).status == 200

    async def read(*_: Any) -> Any:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(lookup_thread, "find", read)
    monkeypatch.setattr(authenticator, "read", read)
    monkeypatch.setattr(revocation, "read", read)
    assert [(await api.call("GET", "/providers")).status for _ in range(3)] == [200] * 3


async def test_first_key_ends_open_access_and_its_revocation_does_not_restore_it(
    start: Start, make_key: MakeKey
) -> None:
    api = await start(Scripted())
    assert (await ask(api, {})).status == 200
    alice = await make_key("alice")
    async with asyncio.timeout(5):
        while (await ask(api, {})).status == 200:
            await asyncio.sleep(0.05)
    assert (await ask(api, alice.headers)).status == 200
    await revoke(alice)
    await authenticator.current().revocations._look()
    assert (await ask(api, {})).status == 401


async def test_service_key_has_all_scopes_beside_the_stored_keys(
    start: Start, make_key: MakeKey, settings: Settings
) -> None:
    settings.API_KEY = "the-key-of-this-service"
    alice = await make_key("alice", "chat")
    api = await start(Scripted([text("Hello"), STOP], [text("Hello"), STOP]))
    own = {"Authorization": "Bearer the-key-of-this-service"}
    for headers in (own, alice.headers):
        await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=headers)
    assert {session["owner"] for session in (await ask(api, own)).json()["items"]} == {"operator", alice.owner}
    assert (await api.call("GET", "/keys", headers=own)).json()["count"] == 1
    assert (await ask(api, {"X-API-Key": "the-key-of-this-servicE"})).status == 401


async def test_last_use_of_keys_is_written_in_batches(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice"), await make_key("bob")
    api = await start(Scripted())
    began = timezone.now()
    for _ in range(5):
        await ask(api, alice.headers)
    assert (await row_of(alice)).last_used is None
    await authenticator.close()
    last_used = (await row_of(alice)).last_used
    assert last_used is not None
    assert began <= last_used <= timezone.now()
    assert (await row_of(bob)).last_used is None


async def test_failures_are_logged_without_the_key(
    start: Start, make_key: MakeKey, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = await make_key("alice"), await make_key("bob", "speech")
    api = await start(Scripted())
    await revoke(alice)
    unknown, garbage = mint(), mint()[:-6] + "abcdef"
    with caplog.at_level(logging.WARNING):
        for secret in (alice.secret, bob.secret, unknown, garbage, "hunter2<b>hi</b>"):
            await ask(api, {"X-API-Key": secret})
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [line["event"] for line in lines] == [
        "key_refused.key_revoked",
        "scope.missing",
        "key_refused.unknown",
        "key_refused.malformed",
        "key_refused.malformed",
    ]
    assert [line.get("prefix") for line in lines] == [alice.secret[:12], None, unknown[:12], None, None]
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    logged = "\n".join(formatter().format(line) for line in caplog.records for formatter in (JsonLines, TextLines))
    for secret in (alice.secret, bob.secret, unknown, garbage, garbage[:12], "hunter2", "<b>"):
        assert secret not in logged


async def test_malformed_keys_cannot_flood_the_log(
    start: Start, make_key: MakeKey, caplog: pytest.LogCaptureFixture
) -> None:
    await make_key("alice")
    api = await start(Scripted())
    with caplog.at_level(logging.WARNING):
        answers = [await ask(api, {"X-API-Key": "secret"}) for _ in range(100)]
    assert sum(record.message == "key_refused.malformed" for record in caplog.records) == MAX_LINES
    assert [answer.status for answer in answers] == [401] * 60 + [429] * 40
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_security_log_reports_how_many_lines_it_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0] * 10 + [61.0])
    log = SecurityLog(most=3, now=lambda: next(times))
    for _ in range(11):
        log.report("scope.missing", client="127.0.0.1")
    assert [record.message for record in caplog.records] == ["scope.missing"] * 3 + [
        "incidents.left_out",
        "scope.missing",
    ]
    assert caplog.records[3].__dict__["count"] == 7


async def test_unavailable_database_authenticates_no_key(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice")
    api = await start(Scripted())

    def broken(*_: Any) -> Any:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(revocation.ApiKey.objects, "any", broken)
        for headers in ({}, alice.headers):
            answer = await api.call("GET", "/providers", headers=headers)
            assert (answer.status, answer.json()["code"]) == (503, "storage")
    assert (await api.call("GET", "/providers", headers=alice.headers)).status == 200
    monkeypatch.setattr(lookup, "_find", broken)
    assert (await api.call("GET", "/providers", headers=alice.headers)).status == 503
