"""The service below a path, of a setting or of a trusted proxy.

Covers `chat.api.run_url`, `console.static_files`.
"""

import ipaddress
import re
from typing import Any

import aiohttp
import pytest

from access.network.proxies import prefix, root_path
from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from storage.reader import read
from tests.conftest import Api, Start
from tests.orchestrator_site.http.test_browser_pages import PASSWORD, make_operator

STOP = Finished(reason="stop")
HEADERS = {"X-API-Key": "secret"}
ROOT = "/team/agent"


@pytest.mark.parametrize(
    "given",
    ["agent", "/", "//evil.example", "/a//b", "/a/../b", "/./a", "/a b", "/a?b", '/"><b', "/ä", "/" + "a" * 200],
)
def test_path_that_is_none_is_refused(given: str) -> None:
    if given != "/":
        with pytest.raises(ValueError, match="it must be a path such as /agent"):
            root_path(given)
    assert prefix([(b"x-forwarded-prefix", given.encode("latin-1"))]) == ""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ""),
        ([b"/agent"], "/agent"),
        ([b"/agent/"], "/agent"),
        ([b"/team, /agent"], "/team/agent"),
        ([b"/team", b"/agent"], "/team/agent"),
    ],
)
def test_prefixes_of_several_proxies_are_joined(given: list[bytes], meant: str) -> None:
    assert prefix([(b"x-forwarded-prefix", value) for value in given]) == meant


@pytest.fixture(params=["setting", "proxy"])
def headers(request: pytest.FixtureRequest, settings: Any) -> dict[str, str]:
    """Return the headers of requests to a service whose root path comes from its settings, or from a proxy."""
    settings.API_KEY = "secret"
    if request.param == "setting":
        settings.ROOT_PATH = ROOT
        return HEADERS
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("127.0.0.1"),)
    return HEADERS | {"X-Forwarded-Prefix": ROOT}


@pytest.mark.parametrize("below", ["", ROOT])
async def test_api_answers_below_its_root_path_and_reports_urls_below_it(
    start: Start, headers: dict[str, str], below: str
) -> None:
    api = await start(Scripted([text("Hi"), STOP]))
    answer = await api.call("POST", f"{below}/chat/stream", json={"message": "a"}, headers=headers)
    assert answer.text == "Hi"
    run = answer.events[0]["run_id"]
    assert answer.headers["Content-Location"] == f"{ROOT}/chat/runs/{run}/stream"
    again = await api.call("GET", f"{below}/chat/runs/{run}/stream", headers=headers)
    assert again.body == answer.body
    assert (await api.call("GET", f"{below}/healthz", headers=headers)).status == 200
    assert (await api.call("GET", f"{below}/nothing", headers=headers)).status == 404
    async with api.session.ws_connect(f"{api.base_url}{below}/ws/chat", headers=headers) as socket:
        await socket.send_json({"type": "cancel", "run_id": run})
        assert (await socket.receive_json())["type"] == "done"
    async with api.session.ws_connect(f"{api.base_url}{below}/ws/speech", headers=headers) as socket:
        await socket.send_json({"type": "stop"})
        assert (await socket.receive_json())["code"] == "not_listening"


async def test_docs_and_console_link_below_the_root_path(start: Start, headers: dict[str, str]) -> None:
    api = await start(Scripted())
    await read(make_operator)
    document = (await api.call("GET", "/openapi.json", headers=headers)).json()
    assert document["servers"] == [{"url": ROOT}]
    assert "/chat/stream" in document["paths"]
    front = (await api.call("GET", "/", headers=headers)).body.decode()
    assert f'data-base="{ROOT}"' in front
    docs = (await api.call("GET", "/docs", headers=headers)).body.decode()
    assert f'"url": "{ROOT}/openapi.json"' in docs
    login = await api.call("GET", "/admin/chat/run/", headers=headers, allow_redirects=False)
    assert login.headers["Location"] == f"{ROOT}/admin/login/?next={ROOT}/admin/chat/run/"
    page = await signed_in(api, headers)
    links = re.findall(r'(?:href|src|action)="([^"#?][^"]*)"', front + docs + page)
    assert [link for link in links if link.startswith("/") and not f"{link}/".startswith(f"{ROOT}/")] == []
    style = next(link for link in links if link.endswith("admin/css/base.css"))
    assert (await api.call("GET", style, headers=headers)).status == 200


async def signed_in(api: Api, headers: dict[str, str]) -> str:
    """Sign in through the form, and return the page that follows."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), headers=headers) as browser:
        url = f"{api.base_url}/admin/login/"
        async with browser.get(url) as answer:
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', await answer.text())
            cookies = {name: morsel.value for name, morsel in answer.cookies.items()}
        assert token
        form = {"username": "op", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": f"{ROOT}/admin/"}
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        async with browser.post(url, data=form, headers=sent, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, f"{ROOT}/admin/")
            session = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())}
        async with browser.get(f"{api.base_url}/admin/", headers=session) as answer:
            shown = await answer.text()
            assert "Log out" in shown
            return shown


async def test_prefix_of_an_untrusted_client_is_ignored(start: Start, settings: Any) -> None:
    settings.API_KEY = "secret"
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("10.0.0.1"),)
    api = await start(Scripted([text("Hi"), STOP]))
    headers = HEADERS | {"X-Forwarded-Prefix": "/evil"}
    answer = await api.call("POST", "/chat/stream", json={"message": "a"}, headers=headers)
    assert answer.headers["Content-Location"].startswith("/chat/runs/")
    assert (await api.call("GET", "/evil/healthz", headers=headers)).status == 404
