"""MCP servers that need an authorization of their user: a call waits with a link, and continues by itself.

Covers `tools.mcp_oauth.flow`, `tools.mcp_oauth.grants`, `tools.mcp_oauth.guarded_http`, `tools.mcp_oauth.pages`,
`tools.mcp_oauth.store`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from django.utils import timezone
from yarl import URL

from access.caller import OPERATOR
from access.models import ApiKey
from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from spending.accounts import Payer
from storage.reader import read
from storage.writer import writer
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.tools.mcp_client.fake import Fake, text_result
from tests.tools.mcp_oauth.fake import CODE, FakeAuthorization, protected
from tools import assembly, conf, shared_tools
from tools.base import ToolError
from tools.mcp_client.connection import Unauthorized, list_tools
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tools import PinnedServer
from tools.mcp_oauth import flow, store
from tools.mcp_oauth.guarded_http import OAuthFailed
from tools.mcp_oauth.store import Grant
from tools.models import McpAuthorization, McpToken, ToolExecution
from tools.registry import Registry

pytestmark = pytest.mark.django_db(transaction=True)

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
CALL = ToolCall(call_id="c1", name="mcp.fake.echo", arguments='{"text": "plover"}')
LINK = re.compile(r"/oauth/[\w-]{43}$")


class World:
    """A service with one MCP server that needs an authorization."""

    def __init__(self, fake: Fake, granting: FakeAuthorization, server: McpServer) -> None:
        self.fake = fake
        self.granting = granting
        self.server = server


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with protected() as (fake, granting):
        server = fake.entry(oauth=True)
        monkeypatch.setattr(conf, "mcp_servers", lambda: (server,))
        yield World(fake, granting, server)


async def registry(world: World) -> Registry:
    """Return the tools of the server, whose set is accepted as it is."""
    intercept, world.fake.intercept = world.fake.intercept, lambda method, headers: None
    accepted = await list_tools(world.fake.entry())
    world.fake.intercept = intercept
    return Registry(PinnedServer(world.server, accepted).tools())


async def begun(start: Start, settings: Any, world: World, *answers: Any, policy: str = "allow mcp.*") -> Api:
    api = await start(Scripted(*answers), tools=await registry(world), policy=policy)
    settings.PUBLIC_URL = api.base_url
    return api


async def question(api: Api, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run until the call waits. Return the events, and the question."""
    async with api.session.post(f"{api.base_url}/chat/stream", json={"message": "Go"}, **options) as response:
        assert response.status == 200
        events: list[dict[str, Any]] = []
        async for line in response.content:
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
                if events[-1]["type"] == "approval_required":
                    return events, events[-1]
    raise AssertionError(events)


async def rest(api: Api, run_id: str, **options: Any) -> list[dict[str, Any]]:
    answer = await api.call("GET", f"/chat/runs/{run_id}/stream", **options)
    return list(answer.events)


async def test_call_waits_for_the_authorization_and_continues_by_itself(
    start: Start, settings: Any, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    api = await begun(start, settings, world, [CALL, CALLS], [text("Done."), STOP])
    events, asked = await question(api)
    link = asked["params"].pop("authorize_at")
    assert asked["params"] == {"text": "plover"}
    assert LINK.search(link)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(link) as page:
            content = await page.text()
            assert (page.status, page.headers["Cache-Control"]) == (
                200,
                "max-age=0, no-cache, no-store, must-revalidate, private",
            )
            assert "<strong>fake</strong>" in content
        assert world.granting.requests == []
        async with browser.get(f"{link}/continue") as page:
            assert (page.status, "can now be used" in await page.text()) == (200, True)
    after = await rest(api, events[0]["run_id"])
    assert [event["type"] for event in after if event["type"] in {"approval_resolved", "tool_result", "end"}] == [
        "approval_resolved",
        "tool_result",
        "end",
    ]
    assert [call["name"] for call in world.fake.calls] == ["echo"]
    assert world.fake.headers[-1]["authorization"] == f"Bearer {world.granting.token}"
    form = next(form for path, form in world.granting.requests if path == "/token")
    assert (form["resource"], form["client_id"]) == (world.server.url, "registered-client")
    # No operator had to decide, and nothing secret is stored or written.
    row = await ToolExecution.objects.aget()
    assert (row.decided_by, row.status) == ("authorization", "succeeded")
    token = await McpToken.objects.aget()
    assert await McpAuthorization.objects.acount() == 0
    for secret in (world.granting.token, world.granting.refresh, CODE):
        assert secret not in f"{caplog.text}{after}{token.sealed}{row.params}{row.data}"


async def test_token_that_the_server_repeats_is_not_passed_on(start: Start, settings: Any, world: World) -> None:
    async def repeat(context: Any, arguments: dict[str, Any]) -> Any:
        await context.session.report_progress(1, None, f"Called with {world.granting.token}")
        return text_result(f"I was called with {world.granting.token}")

    world.fake.handler = repeat
    api = await begun(start, settings, world, [CALL, CALLS], [text("Done."), STOP])
    events, asked = await question(api)
    await visit(asked["params"]["authorize_at"])
    after = await rest(api, events[0]["run_id"])
    assert "Called with [secret]" in str(after)
    assert "I was called with [secret]" in str(after)
    assert world.granting.token not in str(after)


async def test_second_call_needs_no_link_and_a_late_token_is_renewed(start: Start, settings: Any, world: World) -> None:
    api = await begun(
        start, settings, world, [CALL, CALLS], [text("Done."), STOP], [CALL, CALLS], [text("Done."), STOP]
    )
    world.granting.lifetime = 1
    events, asked = await question(api)
    await visit(asked["params"]["authorize_at"])
    await rest(api, events[0]["run_id"])
    answer = await api.ask(message="Again")
    assert [event["type"] for event in answer.events if event["type"].startswith(("tool_", "approval"))] == [
        "tool_call",
        "tool_result",
    ]
    assert world.granting.paths().count("/token") >= 2
    assert len(world.fake.calls) == 2


async def visit(link: str) -> str:
    """Open a link in a browser, and continue to the end. Return the last page."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser, browser.get(f"{link}/continue") as page:
        return await page.text()


async def test_call_that_the_policy_asks_about_still_needs_the_decision(
    start: Start, settings: Any, world: World
) -> None:
    api = await begun(start, settings, world, [CALL, CALLS], [text("Done."), STOP], policy="")
    events, asked = await question(api)
    assert "can now be used" in await visit(asked["params"]["authorize_at"])
    row = await ToolExecution.objects.aget()
    assert (row.status, row.decision) == ("awaiting_approval", "")
    await api.call("POST", f"/tools/executions/{row.id}/approve", json={"params_sha256": asked["params_sha256"]})
    assert "tool_result" in {event["type"] for event in await rest(api, events[0]["run_id"])}


async def test_param_that_would_hide_behind_the_link_is_refused(start: Start, settings: Any, world: World) -> None:
    call = msgspec.structs.replace(CALL, arguments='{"text": "plover", "authorize_at": "https://evil.example"}')
    api = await begun(start, settings, world, [call, CALLS], [text("Done."), STOP])
    answer = await api.ask(message="Go")
    errors = [event for event in answer.events if event["type"] == "tool_error"]
    assert [(error["code"], "cannot have a param authorize_at" in error["error"]) for error in errors] == [
        ("denied", True)
    ]
    assert world.fake.calls == []


async def test_approval_without_an_authorization_is_no_way_around_it(start: Start, settings: Any, world: World) -> None:
    api = await begun(start, settings, world, [CALL, CALLS], [text("Done."), STOP])
    events, asked = await question(api)
    path = f"/tools/executions/{asked['execution_id']}/approve"
    await api.call("POST", path, json={"params_sha256": asked["params_sha256"]})
    errors = [event for event in await rest(api, events[0]["run_id"]) if event["type"] == "tool_error"]
    assert [(error["code"], "needs your authorization" in error["error"]) for error in errors] == [("denied", True)]
    assert world.fake.calls == []


async def test_owners_have_tokens_of_their_own_and_lose_them_with_their_key(
    start: Start, settings: Any, world: World, make_key: MakeKey
) -> None:
    api = await begun(start, settings, world, *[[CALL, CALLS], [text("Done."), STOP]] * 2)
    ada, ben = await make_key("ada"), await make_key("ben")
    events, asked = await question(api, headers=ada.headers)
    await visit(asked["params"]["authorize_at"])
    await rest(api, events[0]["run_id"], headers=ada.headers)
    _, other = await question(api, headers=ben.headers)
    assert LINK.search(other["params"]["authorize_at"])
    assert await McpToken.objects.acount() == 1
    await writer.write(lambda: ApiKey.objects.get(pk=ada.id).revoke(timezone.now()))
    assert await read(store.grant_of, "fake", ada.owner) is None
    # What the other was asked for stays.
    assert await McpAuthorization.objects.acount() == 1
    # A slow authorization server is asked again, and the revocation is sent once.
    world.granting.answers["/revoke"] = (200, b" " * 300_000)
    await flow.revoke_withdrawn([world.server])
    assert await McpToken.objects.acount() == 1
    world.granting.answers["/revoke"] = (200, {})
    world.granting.requests.clear()
    for _ in range(2):
        await flow.revoke_withdrawn([world.server])
    assert world.granting.requests == [("/revoke", {"token": world.granting.refresh, "client_id": "registered-client"})]
    assert await McpToken.objects.acount() == 0


async def test_withdrawn_tokens_are_revoked_beside_other_work(api: Api, world: World) -> None:
    await granted(world)
    await writer.write(partial(store.forget_key, "k1"))
    flow.revoke_soon([world.server])
    flow.revoke_soon([world.server])
    async with asyncio.timeout(30):
        while await McpToken.objects.acount():
            await asyncio.sleep(0.01)
    assert world.granting.paths().count("/revoke") == 1
    await flow.close()


async def asked_link(world: World, *, seconds: float = 60, execution_id: UUID | None = None) -> str:
    payer = Payer(owner="user:1", key="k1")
    return await flow.authorization_link(world.server, payer, execution_id, seconds, False)


@pytest.fixture
async def api(start: Start, settings: Any, world: World) -> Api:
    return await begun(start, settings, world)


async def continued(browser: aiohttp.ClientSession, link: str) -> dict[str, str]:
    """Leave for the authorization server, and return the query that it would send back."""
    async with browser.get(f"{link}/continue", allow_redirects=False) as page:
        assert page.status == 302
        location = page.headers["Location"]
    async with browser.get(location, allow_redirects=False) as page:
        return dict(URL(page.headers["Location"]).query)


@pytest.mark.parametrize(
    "change",
    [
        {"state": ""},
        {"state": "x" * 43},
        {"code": ""},
        {"code": "", "error": "access_denied"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"code": "another-code"},
    ],
)
async def test_wrong_answer_of_a_browser_gives_no_token(api: Api, world: World, change: dict[str, Any]) -> None:
    link = await asked_link(world)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        query = {**await continued(browser, link), **change}
        given = {name: value for name, value in query.items() if value is not None}
        async with browser.get(f"{api.base_url}/oauth/callback", params=given) as page:
            assert page.status in {400, 502}
            assert "Not authorized" in await page.text()
    assert await McpToken.objects.acount() == 0


async def test_answer_counts_once_and_only_in_the_browser_that_began(api: Api, world: World) -> None:
    link = await asked_link(world)
    callback = f"{api.base_url}/oauth/callback"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        query = await continued(browser, link)
        async with aiohttp.ClientSession() as other, other.get(callback, params=query) as page:
            assert page.status == 400
        async with browser.get(callback, params=query) as page:
            assert page.status == 200
        async with browser.get(callback, params=query) as page:
            assert page.status == 400
    assert world.granting.paths().count("/token") == 1


@pytest.mark.parametrize("path", ["/oauth/unknown", f"/oauth/{'x' * 43}/continue", "/oauth/callback"])
async def test_unknown_link_is_a_page_that_says_so(api: Api, path: str) -> None:
    async with api.session.get(api.base_url + path) as page:
        assert page.status in {400, 404}
        assert page.headers["Content-Type"].startswith("text/html")


async def test_late_link_is_not_valid_and_links_are_bounded(api: Api, world: World) -> None:
    link = await asked_link(world)
    await McpAuthorization.objects.aupdate(expires=timezone.now() - timedelta(seconds=1))
    async with api.session.get(link) as page:
        assert page.status == 404
    for _ in range(store.MAX_ASKED + 3):
        await asked_link(world)
    assert await McpAuthorization.objects.acount() == store.MAX_ASKED


METADATA = "/.well-known/oauth-authorization-server"
POSTS = {"client_id": "a", "token_endpoint_auth_method": "client_secret_post"}


def resource(issuer: str, name: str = "@") -> dict[str, Any]:
    """Return the answer of a resource, `@` being the server itself."""
    return {"/resource": (200, {"resource": name, "authorization_servers": [issuer]})}


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no PKCE": ({"code_challenge_methods_supported": None}, {}, "does not support PKCE"),
    "plain PKCE": ({"code_challenge_methods_supported": ["plain"]}, {}, "does not support PKCE"),
    "another issuer": ({"issuer": "https://evil.example"}, {}, "says that it is another one"),
    "no registration": ({"registration_endpoint": None}, {}, "set oauth_client_id"),
    "refused registration": ({}, {"/register": (403, {"error": "no"})}, "did not register"),
    "registration without ID": ({}, {"/register": (201, {"client_secret": "x"})}, "did not register"),
    "unknown method": ({}, {"/register": (201, {**POSTS, "token_endpoint_auth_method": "tls"})}, "did not register"),
    "secret is missing": ({}, {"/register": (201, POSTS)}, "did not register"),
    "no metadata": ({}, {METADATA: (500, {})}, "No metadata"),
    "metadata is no JSON": ({}, {METADATA: (200, b"<html>")}, "No metadata"),
    "endless metadata": ({}, {METADATA: (200, b" " * 300_000)}, "more than 262144 bytes"),
    "another resource": ({}, resource("https://a.example", "https://other.example/"), "about another resource"),
    "private server": ({}, resource("https://10.0.0.1/"), "address that is not public"),
    "private server by IPv6": ({}, resource("https://[fd00::1]/"), "address that is not public"),
    "metadata service": ({}, resource("http://169.254.169.254/"), "not https"),
    "registration inside": ({"registration_endpoint": "https://192.168.0.1/r"}, {}, "address that is not public"),
    "method that is no text": (
        {},
        {"/register": (201, {**POSTS, "token_endpoint_auth_method": [1]})},
        "did not register",
    ),
    "page without https": ({"authorization_endpoint": "http://example.com/authorize"}, {}, "not https"),
    "plain http": ({"registration_endpoint": "http://example.com/register"}, {}, "not https"),
}


@pytest.mark.parametrize(("changes", "answers", "problem"), BROKEN.values(), ids=BROKEN)
async def test_authorization_server_that_cannot_be_used_is_a_sentence(
    api: Api, world: World, changes: dict[str, Any], answers: dict[str, Any], problem: str
) -> None:
    granting = world.granting
    granting.changes.update(changes)
    for path, (status, body) in answers.items():
        own = {**body, "resource": world.server.url} if isinstance(body, dict) and body.get("resource") == "@" else body
        granting.answers[path] = (status, own)
    async with api.session.get(f"{await asked_link(world)}/continue", allow_redirects=False) as page:
        assert page.status == 502
        assert problem in await page.text()


@pytest.mark.parametrize("issuer", ["https://honest.example", "http://127.0.0.1:1"])
async def test_server_that_claims_to_be_another_issuer_gets_no_code(api: Api, world: World, issuer: str) -> None:
    endpoints = {
        f"{name}_endpoint": f"{world.granting.url}/{name}" for name in ("authorization", "token", "registration")
    }
    metadata = {"issuer": issuer, "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
    # It names no authorization server, so it is its own.
    content = json.dumps({**metadata, **endpoints}).encode()
    world.fake.intercept = lambda method, headers: (200, {"content-type": "application/json"}, content)
    async with api.session.get(f"{await asked_link(world)}/continue", allow_redirects=False) as page:
        assert page.status == 502
        assert "says that it is another one" in await page.text()


async def test_key_that_is_revoked_during_an_authorization_leaves_no_usable_token(api: Api, world: World) -> None:
    link = await asked_link(world)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        query = await continued(browser, link)
        cookies = browser.cookie_jar.filter_cookies(URL(f"{api.base_url}/oauth/callback"))
        taken = await flow.taken(query["state"], cookies["orchestrator_oauth"].value)
    assert taken is not None
    await writer.write(partial(store.forget_key, "k1"))
    with pytest.raises(OAuthFailed, match="not asked for any more"):
        await flow.finish(world.server, *taken, query["code"], query["iss"])
    assert await read(store.grant_of, "fake", "user:1") is None
    await flow.revoke_withdrawn([world.server])
    assert world.granting.requests[-1] == (
        "/revoke", {"token": world.granting.refresh, "client_id": "registered-client"}
    )  # fmt: skip
    assert await McpToken.objects.acount() == 0


@pytest.mark.parametrize("change", [("/mcp", "/other"), ("127.0.0.1", "localhost"), ("http:", "https:")])
async def test_server_at_another_url_gets_no_token_of_its_namesake(
    api: Api, world: World, change: tuple[str, str]
) -> None:
    await granted(world)
    assert await asked_link(world) == ""
    world.server = msgspec.structs.replace(world.server, url=world.server.url.replace(*change))
    with pytest.raises(ToolError, match="needs your authorization"):
        await flow.authorized(world.server, "user:1")
    assert LINK.search(await asked_link(world))


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"access_token": "a", "token_type": "mac"}),
        (200, {"access_token": "", "token_type": "bearer"}),
        (200, {"access_token": "a\r\nX: b", "token_type": "bearer"}),
        (200, {"access_token": 3, "token_type": "bearer"}),
        (200, {"access_token": "a" * 20_000, "token_type": "bearer"}),
        (200, b"[]"),
        (302, {}),
        (500, {"error": "<script>alert(1)</script>"}),
    ],
)
async def test_answer_without_a_usable_token_is_refused(api: Api, world: World, answer: Any) -> None:
    world.granting.answers["/token"] = answer
    page = await visit(await asked_link(world))
    assert "gave no token" in page
    assert "<script>" not in page
    assert await McpToken.objects.acount() == 0


async def granted(world: World) -> Grant:
    await visit(await asked_link(world))
    found = await read(store.grant_of, "fake", "user:1")
    assert found is not None
    return found


async def test_token_that_the_server_rejects_is_renewed_for_the_next_call(api: Api, world: World) -> None:
    grant = await granted(world)
    world.granting.issued += 1
    assert await flow.authorized(world.server, "user:1") == await flow.authorized(world.server, "user:1")
    world.granting.issued -= 1
    await flow.rejected(world.server, "user:1")
    renewed = await flow.authorized(world.server, "user:1")
    assert renewed.headers["Authorization"] == f"Bearer {world.granting.token}"
    assert world.granting.token != grant.tokens.access


async def test_calls_at_the_same_time_renew_a_token_once(api: Api, world: World) -> None:
    await granted(world)
    await flow.rejected(world.server, "user:1")
    before = world.granting.paths().count("/token")
    found = await asyncio.gather(*(flow.authorized(world.server, "user:1") for _ in range(8)))
    assert {server.headers["Authorization"] for server in found} == {f"Bearer {world.granting.token}"}
    assert world.granting.paths().count("/token") == before + 1


async def test_withdrawn_authorization_is_forgotten_and_asked_for_again(api: Api, world: World) -> None:
    await granted(world)
    await flow.rejected(world.server, "user:1")
    world.granting.has_ended = True
    with pytest.raises(ToolError, match="needs your authorization"):
        await flow.authorized(world.server, "user:1")
    assert await McpToken.objects.acount() == 0
    assert LINK.search(await asked_link(world))


@pytest.mark.parametrize(
    "answer", [(503, {}), (400, {"error": ["invalid_grant"]}), (400, {"error": {}}), (200, b"\xff")]
)
async def test_server_that_cannot_renew_now_loses_no_authorization(api: Api, world: World, answer: Any) -> None:
    await granted(world)
    await flow.rejected(world.server, "user:1")
    world.granting.answers["/token"] = answer
    with pytest.raises(ToolError, match="cannot be renewed now"):
        await flow.authorized(world.server, "user:1")
    assert await McpToken.objects.acount() == 1


async def test_operator_authorizes_a_server_to_list_its_tools(api: Api, world: World) -> None:
    with pytest.raises(ToolError, match="needs your authorization"):
        await list_tools(world.server)
    with pytest.raises(Unauthorized, match=r"HTTP 401\. Check its headers"):
        await list_tools(world.fake.entry())
    link = await flow.authorization_link(world.server, Payer(owner=OPERATOR), None, 60, False)
    assert "can now be used" in await visit(link)
    assert (await list_tools(world.server)).by_name


async def test_process_revokes_withdrawn_tokens_by_itself(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await granted(world)
    await writer.write(partial(store.forget_key, "k1"))
    monkeypatch.setattr(shared_tools, "mcp_servers", lambda: (PinnedServer(world.server),))
    # The service's own periodic work may have begun with it already.
    await assembly.renew()
    async with asyncio.timeout(30):
        while await McpToken.objects.acount():
            await asyncio.sleep(0.01)
    assert "/revoke" in world.granting.paths()
    await flow.close()
